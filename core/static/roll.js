// The arrows move between the days of a roll, which is one stop for the Tab key. Without this script each day is a link
// like any other, and a stop of its own.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-print]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  });
  const table = document.querySelector("[data-roll]");
  if (!table) return;
  const heads = table.tHead.rows[0].cells;
  const rows = table.tBodies[0].rows;
  const last = [...heads].findIndex((head) => head.hasAttribute("data-sum")) - 1;
  const names = new Map(
    [...document.querySelectorAll("[data-legend] li")].map((one) => [one.firstElementChild.className, one.lastChild.textContent.trim()])
  );
  const stop = (cell) => cell.querySelector("a") || cell;
  const leads = rows[0].cells[0].querySelector("a") ? 0 : 1; // employees are places to go to where they are links
  let current = null;
  let marked = [];

  const enter = (target) => {
    if (current) current.tabIndex = -1;
    current = target;
    current.tabIndex = 0;
  };
  const mark = (cell) => {
    marked.forEach((one) => one.classList.remove("here"));
    marked = [heads[cell.cellIndex], cell.parentElement.cells[0]];
    marked.forEach((one) => one.classList.add("here"));
    const link = cell.querySelector("a");
    if (link && !link.title) {
      const name = names.get(link.classList[0]);
      if (name) link.title = `${marked[1].title}, ${marked[0].title}: ${name}`;
    }
  };
  const to = (row, column) => {
    const target = stop(rows[Math.max(0, Math.min(row, rows.length - 1))].cells[Math.max(leads, Math.min(column, last))]);
    enter(target);
    target.focus();
  };

  table.setAttribute("role", "grid");
  table.querySelectorAll("tbody a").forEach((link) => (link.tabIndex = -1));
  const from = window.location.hash.slice(1);
  const opened = from && [...table.querySelectorAll("tbody a")].find((link) => link.getAttribute("href") === from);
  enter(opened || table.querySelector("tbody a") || stop(rows[0].cells[leads]));
  const today = table.querySelector("thead .today");
  if (opened) {
    opened.focus();
  } else if (today) {
    const box = table.parentElement; // on a phone a month is wider than the screen
    box.scrollLeft = today.offsetLeft + 2 * today.offsetWidth - box.clientWidth;
  }

  table.tBodies[0].addEventListener("focusin", (event) => {
    const cell = event.target.closest("td, th");
    enter(stop(cell));
    mark(cell);
  });
  table.tBodies[0].addEventListener("mouseover", (event) => {
    const cell = event.target.closest("td, th");
    if (cell) mark(cell);
  });
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("tbody td, tbody th");
    if (!cell || event.altKey || event.shiftKey || event.metaKey) return;
    const row = cell.parentElement.sectionRowIndex;
    const column = cell.cellIndex;
    const all = event.ctrlKey;
    const steps = {
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      PageUp: [row - 10, column],
      PageDown: [row + 10, column],
      Home: [all ? 0 : row, leads],
      End: [all ? rows.length - 1 : row, last],
    };
    const step = steps[event.key];
    if (!step || (all && !["Home", "End"].includes(event.key))) return;
    event.preventDefault();
    to(...step);
  });
});
