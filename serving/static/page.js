// The two halves of the page, and which of them is shown.

import "./photo.js";
import { tell } from "./service.js";
import { leave } from "./video.js";

const tabs = [...document.querySelectorAll("[role=tab]")];

function open(tab) {
  for (const each of tabs) {
    const isOpen = each === tab;
    each.setAttribute("aria-selected", String(isOpen));
    each.tabIndex = isOpen ? 0 : -1;
    document.getElementById(each.getAttribute("aria-controls")).hidden = !isOpen;
  }
  if (tab.id !== "tab-video") leave();
  tell("");
}

for (const tab of tabs) {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = tabs[(tabs.indexOf(tab) + 1) % tabs.length];
    open(other);
    other.focus();
  });
}

// a file that is dropped beside a place would take the page's
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
