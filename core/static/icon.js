// The icon of the tab in the colour of this installation, so that the tabs of two differ. Without this script it is blue.
document.addEventListener("DOMContentLoaded", async () => {
  const icon = document.querySelector('link[rel="icon"]');
  const colour = getComputedStyle(document.body).getPropertyValue("--installation").trim();
  try {
    const drawn = await (await fetch(icon.href)).text();
    icon.href = `data:image/svg+xml,${encodeURIComponent(drawn.replace("#14618f", colour))}`;
  } catch {
    // the server is gone meanwhile: it stays as it is
  }
});
