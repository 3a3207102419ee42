// Days or months of attendance as bars. The figures are in the page's table, which stands in without JavaScript.
document.addEventListener("DOMContentLoaded", () => {
  const data = document.getElementById("trend-data");
  const canvas = document.getElementById("trend");
  if (!data || !canvas) return;
  const trend = JSON.parse(data.textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let chart = null;
  const draw = () => {
    if (chart) chart.destroy();
    const axis = { ticks: { color: colour("--bs-body-color") }, grid: { color: colour("--bs-border-color") } };
    const series = (label, values, name) => ({ label, data: values, backgroundColor: colour(name) });
    chart = new Chart(canvas, {
      type: "bar",
      data: {
        labels: trend.spans,
        datasets: [
          series(canvas.dataset.present, trend.present, "--muster-present"),
          series(canvas.dataset.absent, trend.absent, "--muster-absent"),
          series(canvas.dataset.other, trend.other, "--muster-other"),
        ],
      },
      options: {
        animation: false,
        maintainAspectRatio: false,
        scales: {
          x: { stacked: true, ...axis, grid: { display: false }, ticks: { ...axis.ticks, maxRotation: 0, autoSkipPadding: 12 } },
          y: { stacked: true, beginAtZero: true, ...axis, ticks: { ...axis.ticks, precision: 0 } },
        },
        plugins: { legend: { position: "bottom", labels: { color: colour("--bs-body-color"), boxWidth: 12 } } },
      },
    });
  };
  canvas.parentElement.hidden = false;
  draw();
  document.addEventListener("muster:theme", draw);
});
