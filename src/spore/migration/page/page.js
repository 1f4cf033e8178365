"use strict";
// Draws each chart from the data beside it, in the colours of the stylesheet, and again when light turns to dark.

function draw(chart) {
  const style = getComputedStyle(document.documentElement);
  const coloured = (key, value) =>
    /color$/.test(key) && String(value).startsWith("--") ? style.getPropertyValue(value).trim() : value;
  const { data, layout } = JSON.parse(chart.querySelector("script").textContent, coloured);
  Plotly.react(chart.querySelector(".drawing"), data, layout, { displayModeBar: false, responsive: true });
}

function drawAll() {
  document.querySelectorAll(".chart").forEach(draw);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
drawAll();
