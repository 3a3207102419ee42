// Bootstrap's colours: what the person chose on this device, else the system's light or dark setting.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("muster-theme");
    } catch {
      return null; // storage is off: the system's setting it is
    }
  };
  const paper = window.matchMedia("print"); // it is white
  const current = () => (paper.matches ? "light" : chosen() || (dark.matches ? "dark" : "light"));
  const apply = () => {
    document.documentElement.setAttribute("data-bs-theme", current());
    document.querySelectorAll("[data-theme-switch]").forEach((button) => {
      button.hidden = false;
      const other = current() === "dark" ? "light" : "dark";
      button.textContent = other === "dark" ? "☾" : "☀";
      button.setAttribute("aria-label", button.dataset[other]); // in the page's language
    });
    document.dispatchEvent(new Event("muster:theme"));
  };
  apply();
  dark.addEventListener("change", apply);
  paper.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.querySelectorAll("[data-theme-switch]").forEach((button) =>
      button.addEventListener("click", () => {
        try {
          localStorage.setItem("muster-theme", current() === "dark" ? "light" : "dark");
        } catch {
          return;
        }
        apply();
      })
    );
  });
})();
