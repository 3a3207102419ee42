// Selecting days for a bulk edit: rows of the list by their boxes, cells of a roll by clicking them while it is in the
// mode for that. Without this script the boxes of the list work, and the form stands below it.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("[data-bulk]");
  if (!form) return;
  const boxes = [...document.querySelectorAll("[data-bulk-box]")];
  const all = document.querySelector("[data-bulk-all]");
  const table = document.querySelector("[data-roll]");
  const mode = document.querySelector("[data-bulk-mode]");
  const days = form.querySelector("[data-days]");
  const picked = new Set();

  const shown = () => {
    const number = picked.size + boxes.filter((box) => box.checked).length;
    form.querySelector("[data-count]").textContent = form.dataset.selected.replace("{n}", number.toLocaleString());
    form.hidden = !number && !(mode && mode.getAttribute("aria-pressed") === "true");
    form.querySelector("[data-bulk-go]").disabled = !number;
    if (all) {
      all.checked = number > 0 && number === boxes.length;
      all.indeterminate = number > 0 && number < boxes.length;
    }
  };
  const fields = () => {
    const doing = form.elements.doing.value;
    for (const name of ["status", "shift"]) form.querySelector(`[data-of="${name}"]`).hidden = doing !== name;
  };

  boxes.forEach((box) => box.addEventListener("change", shown));
  if (all) {
    all.hidden = false;
    all.addEventListener("change", () => {
      boxes.forEach((box) => (box.checked = all.checked));
      shown();
    });
  }
  form.elements.doing.addEventListener("change", fields);
  fields();

  if (table && mode) {
    const links = (cells) => [...cells].map((cell) => cell.querySelector("a")).filter((link) => link && link.closest("td"));
    const isOn = () => mode.getAttribute("aria-pressed") === "true";
    const pick = (cells, on) => {
      for (const link of links(cells)) {
        link.classList.toggle("picked", on);
        link.toggleAttribute("aria-selected", false);
        link.closest("td").setAttribute("aria-selected", on);
        if (on) picked.add(link);
        else picked.delete(link);
      }
      shown();
    };
    const toggle = (cells) => pick(cells, !links(cells).every((link) => picked.has(link)));
    const clear = () => pick([...picked].map((link) => link.parentElement), false);
    const cellsAt = (cell) => {
      if (cell.closest("thead")) return [...table.tBodies[0].rows].map((row) => row.cells[cell.cellIndex]);
      return cell.tagName === "TH" ? cell.parentElement.cells : [cell];
    };
    const chosen = (event) => {
      const cell = event.target.closest("tbody td, tbody th, thead th");
      if (!isOn() || !cell || cell.hasAttribute("data-sum")) return;
      event.preventDefault();
      toggle(cellsAt(cell));
    };
    mode.hidden = false;
    mode.addEventListener("click", () => {
      mode.setAttribute("aria-pressed", !isOn());
      table.classList.toggle("selecting", isOn());
      if (!isOn()) clear();
      shown();
    });
    table.addEventListener("click", chosen);
    table.addEventListener("keydown", (event) => {
      if (event.key === " ") chosen(event);
      if (event.key === "Escape" && isOn()) mode.click();
    });
    form.addEventListener("submit", () => {
      const day = (link) => `${table.dataset.month}-${link.getAttribute("href").split("/")[0].padStart(2, "0")}`;
      const number = (link) => link.closest("tr").dataset.number;
      days.disabled = false;
      days.value = [...picked].map((link) => `${table.dataset.company} ${day(link)} ${number(link)}`).join("\n");
    });
  }
  shown();
});
