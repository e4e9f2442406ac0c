// Saves the text that a page shows as a file, without asking the server for it again: it holds a secret.
"use strict";
(() => {
  const offer = () => { for (const one of document.querySelectorAll("[data-save]")) one.hidden = false; };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-save]");
    if (!button) return;
    const text = button.closest(".card").querySelector(".copy code").textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
    link.download = button.dataset.save;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  offer();
})();
