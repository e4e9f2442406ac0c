-- Heartbeats of registered devices, each in its turn, in an order that is no order of their ids. Arguments: how many
-- devices there are, where to begin.
local devices, turn
local step = 7919 -- a prime: each device comes once before any comes again
local body = '{"boot_id":"7a3f1c55-6f0c-4f3e-9f2c-0d8f3f1f0a01","sent_at":"2026-03-29T01:30:00Z",'
  .. '"clock_synchronised":true,"uptime_seconds":%d,"agent_version":"0.1.0","timezone":"Europe/Berlin",'
  .. '"assistant":{"name":"sample-assistant","installed":"1.0.0","active":"1.0.0"},"idle_seconds":%d,'
  .. '"gate":{"decision":"nothing","reason":null,"retry_at":null},"update":null}'

function init(args)
  devices, turn = tonumber(args[1]), tonumber(args[2])
end

function request()
  turn = turn + 1
  local device = (turn * step) % devices
  local headers = { ["Authorization"] = "Bearer pid_bench_" .. device, ["Content-Type"] = "application/json" }
  local path = string.format("/api/v1/devices/0195e0c8-0000-7000-8000-%012x/heartbeat", device)
  return wrk.format("POST", path, headers, string.format(body, 3600 + turn, turn % 4000))
end
