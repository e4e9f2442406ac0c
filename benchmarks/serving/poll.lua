-- gooseBit's DDI poll. Arguments: how many devices there are, where to begin.
local devices, turn

function init(args)
  devices, turn = tonumber(args[1]), tonumber(args[2])
end

function request()
  turn = turn + 1
  return wrk.format("GET", "/DEFAULT/controller/v1/device-" .. (turn % devices))
end
