// The menus of rows close on Escape and on a click elsewhere. Without this script they close on their own button.
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest(".muster-row-menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.addEventListener("click", (event) => {
  document.querySelectorAll(".muster-row-menu[open]").forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});
