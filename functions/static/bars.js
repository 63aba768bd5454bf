/**
 * Bar charts, drawn by Chart.js. A canvas is a picture to who cannot see it, so that each has its numbers beside it as a
 * table; without the library the table is all there is.
 *
 * @typedef {{ label: string, value: number, tone?: string, href?: string, hint?: string }} Bar
 */

import { h } from "./dom.js";
import { whole } from "./words.js";

const LIBRARY = "./chart.umd.min.js";

/** @type {Promise<typeof import("chart.js").Chart> | null} */
let loading = null;

/** @returns {Promise<typeof import("chart.js").Chart>} */
function library() {
  loading ??= import(LIBRARY).then(() => Reflect.get(globalThis, "Chart"));
  return loading;
}

/** A chart in its place on the page. */
export class BarChart {
  /**
   * @param {string} label what it shows
   * @param {{ numbers?: boolean }} [options] numbers: stand over the bars
   */
  constructor(label, { numbers = false } = {}) {
    this.canvas = h("canvas", { role: "img", "aria-label": `${label}, as bars; the same as a table follows` });
    this.probe = h("span", { hidden: true });
    this.element = h("div", { class: "chart" }, this.canvas, this.probe);
    this.numbers = numbers;
    /** @type {Bar[]} */
    this.bars = [];
    /** @type {import("chart.js").Chart<"bar"> | null} */
    this.chart = null;
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.repaint = () => this.paint();
    this.scheme.addEventListener("change", this.repaint);
  }

  /** @param {Bar[]} bars */
  async show(bars) {
    this.bars = bars;
    try {
      const Chart = await library();
      this.chart ??= new Chart(this.canvas, { type: "bar", data: { labels: [], datasets: [] }, plugins: [this.counts()] });
      this.paint();
    } catch (error) {
      this.element.replaceChildren(h("p", { class: "note" }, "The chart cannot be drawn; its numbers are below."));
      console.warn(error);
    }
  }

  /** Draws anew, in the colours that hold now. */
  paint() {
    if (!this.chart) return;
    const colour = (/** @type {string} */ name) => this.colour(name);
    this.chart.data = {
      labels: this.bars.map((bar) => bar.label),
      datasets: [
        {
          data: this.bars.map((bar) => bar.value),
          backgroundColor: this.bars.map((bar) => colour(`--tone-${bar.tone ?? "plain"}`)),
          borderRadius: 3,
          maxBarThickness: 56,
          minBarLength: 0,
        },
      ],
    };
    this.chart.options = this.options(colour);
    this.chart.update("none");
  }

  /**
   * A colour of the style sheet as it is now: a custom property is only text until a real one has it.
   * @param {string} name
   */
  colour(name) {
    this.probe.style.color = `var(${name})`;
    return getComputedStyle(this.probe).color;
  }

  /**
   * @param {(name: string) => string} colour
   * @returns {import("chart.js").ChartOptions<"bar">}
   */
  options(colour) {
    const ticks = { color: colour("--muted"), font: { size: 11, family: "system-ui, sans-serif" } };
    return {
      animation: false,
      maintainAspectRatio: false,
      layout: { padding: { top: this.numbers ? 18 : 4 } },
      onClick: (_, [hit]) => this.follow(hit?.index),
      onHover: (_, [hit]) => this.canvas.classList.toggle("leads", Boolean(hit && this.bars[hit.index]?.href)),
      plugins: {
        legend: { display: false },
        tooltip: {
          displayColors: false,
          callbacks: { title: ([item]) => this.bars[item?.dataIndex ?? 0]?.hint ?? item?.label ?? "" },
        },
      },
      scales: {
        x: { grid: { display: false }, border: { color: colour("--line") }, ticks: { ...ticks, maxRotation: 0 } },
        y: {
          display: !this.numbers,
          beginAtZero: true,
          suggestedMax: 4,
          border: { display: false },
          grid: { color: colour("--line") },
          ticks: { ...ticks, precision: 0, maxTicksLimit: 5 },
        },
      },
    };
  }

  /** @param {number | undefined} index */
  follow(index) {
    const href = index === undefined ? undefined : this.bars[index]?.href;
    if (href) location.hash = href;
  }

  /**
   * Writes each count over its bar.
   * @returns {import("chart.js").Plugin<"bar">}
   */
  counts() {
    return {
      id: "counts",
      afterDatasetsDraw: (chart) => {
        if (!this.numbers) return;
        const { ctx } = chart;
        ctx.save();
        ctx.fillStyle = this.colour("--text");
        ctx.font = "600 12px system-ui, sans-serif";
        ctx.textAlign = "center";
        for (const [index, bar] of chart.getDatasetMeta(0).data.entries()) {
          ctx.fillText(whole(this.bars[index]?.value ?? 0), bar.x, bar.y - 5);
        }
        ctx.restore();
      },
    };
  }

  /** Lets go of everything. */
  close() {
    this.scheme.removeEventListener("change", this.repaint);
    this.chart?.destroy();
  }
}
