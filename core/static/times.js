// Moments in the reader's own time zone. Without this script they are in the server's, which is named beside them.
(() => {
  const language = document.documentElement.lang;
  const format = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  });
  const show = () =>
    document.querySelectorAll("time[data-local]").forEach((time) => {
      time.title = time.textContent;
      time.textContent = format.format(new Date(time.dateTime)).replace(",", "");
      time.removeAttribute("data-local");
    });
  document.addEventListener("DOMContentLoaded", show);
  document.addEventListener("htmx:afterSettle", show);
})();
