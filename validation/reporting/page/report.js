"use strict";
(() => {
  const root = document.documentElement;
  const form = document.getElementById("flip-filter");
  const setAll = (open) => document.querySelectorAll("details").forEach((each) => { each.open = open; });
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    setAll(true);
  });
  addEventListener("afterprint", () => folded.forEach((each) => { each.open = false; }));
  // A link into a closed part opens it.
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
  // Only a box that scrolls needs to be reached by keyboard.
  const fitBoxes = () => document.querySelectorAll(".box").forEach((box) => {
    if (box.clientWidth === 0) return;
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
  addEventListener("resize", fitBoxes);
  addEventListener("toggle", fitBoxes, true);
  fitBoxes();
  if (!form) return;
  const flips = [...document.querySelectorAll("[data-flip]")];
  const count = document.getElementById("flip-count");
  const fold = document.getElementById("flip-fold");
  const selects = [...form.querySelectorAll("select")];
  const apply = () => {
    let shown = 0;
    for (const flip of flips) {
      const fits = selects.every((each) => each.value === "" || flip.dataset[each.dataset.key] === each.value);
      flip.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    count.textContent = count.dataset.told.replace("{shown}", shown).replace("{all}", flips.length);
  };
  form.addEventListener("change", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  fold.addEventListener("click", () => {
    const open = fold.getAttribute("aria-pressed") !== "true";
    fold.setAttribute("aria-pressed", String(open));
    flips.forEach((flip) => { flip.querySelector("details").open = open; });
  });
  root.classList.add("scripted");
  apply();
})();
