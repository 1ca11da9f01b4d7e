"""The look of a report: system fonts, one accent, numbers in columns; light, dark, narrow and on paper.

The page's Content-Security-Policy names this text by its hash, so nothing else can style the page.
"""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfbf9; --raised: #ffffff; --ink: #1b2023; --soft: #566066; --rule: #dfe2df;
  --accent: #0b6a62; --accent-soft: #d9ebe8; --control: #7a8287; --bad: #a63a22;
  --s1: #d5e6e2; --s2: #a9d0c9; --s3: #78b6ac; --s4: #459a8f; --s5: #1f7d72; --s6: #075048;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121618; --raised: #191e21; --ink: #e6e9e8; --soft: #9aa5a9; --rule: #2c3438;
    --accent: #58c4b7; --accent-soft: #1c3b38; --control: #8d979c; --bad: #f0907a;
    --s1: #1d3532; --s2: #235049; --s3: #2b6d64; --s4: #389085; --s5: #58b8ab; --s6: #a8ecdf;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
main, header, footer { max-width: 1080px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 28px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; font-weight: 650; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 0 0 4px; font-weight: 650; letter-spacing: -0.005em; }
h3 { font-size: 15px; margin: 0; font-weight: 650; }
p { margin: 0 0 10px; max-width: 74ch; }
section { padding: 26px 0 8px; border-top: 1px solid var(--rule); margin-top: 26px; }
.soft, figcaption, .legend, th, .facts dt, footer { color: var(--soft); }
a { color: var(--accent); text-underline-offset: 2px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -999px; }
.skip:focus { position: static; }
.over { font-size: 13px; color: var(--soft); margin: 0 0 4px; }
.state { font-weight: 600; color: var(--ink); }
.state.failed { color: var(--bad); }
.verdict { font-size: 18px; line-height: 1.4; margin: 14px 0 18px; max-width: 62ch; }
.verdict b { color: var(--accent); font-weight: 650; }
.alarm { border-left: 3px solid var(--bad); padding: 8px 14px; background: var(--raised); margin: 14px 0; }
.facts { display: grid; grid-template-columns: repeat(5, 1fr); margin: 0; border-top: 1px solid var(--rule); }
.facts div { padding: 10px 14px 10px 0; }
.facts div + div { padding-left: 14px; border-left: 1px solid var(--rule); }
.facts dt { font-size: 13px; }
.facts dd { margin: 0; font-size: 22px; font-weight: 600; line-height: 1.25; }
.facts dd small { display: block; font-size: 13px; font-weight: 400; color: var(--soft); }
nav ul { list-style: none; padding: 0; margin: 16px 0 0; display: flex; flex-wrap: wrap; gap: 4px 18px;
  font-size: 14px; }
figure { margin: 14px 0 0; }
figcaption { font-size: 13px; margin-top: 6px; max-width: 74ch; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 32px; }
.many { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px 24px; margin-top: 14px; }
.many h3 { font-weight: 500; font-size: 13px; }
svg { display: block; }
.chart { width: 100%; height: auto; overflow: visible; }
.map { max-width: 760px; }
svg text { font: 12.5px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--soft);
  font-variant-numeric: tabular-nums; }
svg text.note { fill: var(--ink); }
.many svg text { font-size: 15.5px; }
.grid { stroke: var(--rule); stroke-width: 1; }
.mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3; }
.line { fill: none; stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
.dots { fill: none; stroke-width: 3; stroke-linecap: round; opacity: 0.3; }
.evolved { stroke: var(--accent); }
.control { stroke: var(--control); }
.line.thin { stroke-width: 1.4; }
.line.control { stroke-dasharray: 6 4; }
.line.control.thin { stroke-dasharray: 2 3; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; padding: 0; margin: 0 0 6px;
  font-size: 13px; }
.legend li { display: flex; align-items: center; gap: 6px; }
.key { width: 26px; height: 12px; flex: none; }
.legend .dots { opacity: 0.8; stroke-width: 5; }
.whisker { stroke: var(--accent); stroke-width: 2; }
.mean { fill: var(--accent); }
.interval { width: 150px; height: 18px; }
.ground { fill: var(--raised); stroke: var(--rule); }
.bar .ground { fill: var(--rule); stroke: none; }
.fill { fill: var(--accent); }
.bar { width: 100%; min-width: 60px; height: 6px; }
.s1 { fill: var(--s1); } .s2 { fill: var(--s2); } .s3 { fill: var(--s3); }
.s4 { fill: var(--s4); } .s5 { fill: var(--s5); } .s6 { fill: var(--s6); }
.scroll { overflow-x: auto; }
.scroll + p, .scroll + .soft { margin-top: 10px; }
p.small, figcaption { max-width: 96ch; }
table { border-collapse: collapse; font-size: 14px; width: 100%; }
caption { text-align: left; color: var(--soft); font-size: 13px; padding: 0 0 6px; }
th { font-weight: 500; font-size: 13px; text-align: left; vertical-align: bottom; }
td, th { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
thead th { border-bottom-color: var(--soft); white-space: nowrap; }
td.n, th.n { text-align: right; white-space: nowrap; }
tbody th { color: var(--ink); font-size: 14px; }
tr.control th, tr.control td { background: var(--raised); }
tr.control th::before { content: none; }
td.wide { min-width: 22ch; }
.winner { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); gap: 4px 32px; padding: 20px 0;
  border-bottom: 1px solid var(--rule); }
.winner:last-of-type { border-bottom: 0; }
.winner > header { grid-column: 1 / -1; padding: 0; margin: 0; max-width: none; display: flex; gap: 14px;
  align-items: baseline; flex-wrap: wrap; }
.value { color: var(--accent); font-weight: 650; }
.said { grid-column: 1 / -1; font-size: 17px; line-height: 1.45; margin: 2px 0 8px; max-width: 70ch;
  width: fit-content; white-space: pre-line; }
.hear { min-width: 0; max-width: 560px; }
audio { width: 100%; height: 40px; display: block; margin-top: 8px; }
.spectrogram { width: 100%; height: auto; }
.spectrogram image { image-rendering: auto; }
.terms td, .terms th { padding: 4px 12px 4px 0; }
.terms td.b { width: 30%; vertical-align: middle; }
.winner details { grid-column: 1 / -1; margin-top: 8px; }
summary { cursor: pointer; color: var(--accent); width: fit-content; font-size: 14px; }
details > :not(summary) { margin-top: 10px; }
.line-of { list-style: none; margin: 10px 0 0; padding: 0 0 0 18px; border-left: 2px solid var(--accent-soft); }
.line-of li { position: relative; padding: 0 0 12px; display: grid; grid-template-columns: minmax(0, 1fr) 260px;
  gap: 2px 20px; }
.line-of li::before { content: ""; position: absolute; left: -24px; top: 7px; width: 10px; height: 10px;
  border-radius: 50%; background: var(--accent); border: 2px solid var(--paper); }
.line-of li.gap::before { background: var(--rule); }
.line-of audio { margin: 0; height: 34px; grid-row: span 2; }
.line-of .how { grid-column: 1; }
.line-of .soft, .small { font-size: 13px; }
.quote { white-space: pre-line; }
code, pre { font: 13px/1.5 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace; }
pre { background: var(--raised); border: 1px solid var(--rule); border-radius: 4px; padding: 12px 14px;
  margin: 8px 0; max-height: 480px; overflow: auto; }
.hash { font-size: 12.5px; overflow-wrap: anywhere; }
.empty { color: var(--soft); font-style: italic; }
footer { padding-top: 18px; padding-bottom: 40px; margin-top: 26px; font-size: 13px; }
@media screen and (max-width: 820px) {
  main, header, footer { padding-left: 16px; padding-right: 16px; }
  .facts { grid-template-columns: 1fr 1fr; }
  .facts div, .facts div + div { padding: 8px 12px 8px 0; border-left: 0; border-bottom: 1px solid var(--rule); }
  .pair, .winner { grid-template-columns: minmax(0, 1fr); }
  .many { grid-template-columns: 1fr 1fr; }
  .scroll > .chart { min-width: 480px; }
  .line-of li { grid-template-columns: minmax(0, 1fr); }
  .verdict { font-size: 17px; }
}
@media screen and (max-width: 560px) {
  .many { grid-template-columns: minmax(0, 1fr); }
  .many svg text { font-size: 13px; }
  .terms td, .terms th { padding-right: 8px; font-size: 13px; }
}
@page { margin: 14mm; }
@media print {
  :root { color-scheme: light; --paper: #fff; --raised: #fff; --ink: #000; --soft: #444; --rule: #bbb;
    --accent: #0b5a53; --accent-soft: #cde3df; --control: #666; --bad: #8a2c17;
    --s1: #d5e6e2; --s2: #a9d0c9; --s3: #78b6ac; --s4: #459a8f; --s5: #1f7d72; --s6: #075048; }
  body { font-size: 10.5pt; }
  nav, audio, .skip, .elsewhere { display: none; }
  main, header, footer { max-width: none; padding: 0; }
  .line-of li { grid-template-columns: minmax(0, 1fr); }
  table { font-size: 9pt; }
  th, thead th, tbody th, .small, figcaption { font-size: 8.5pt; }
  td, th { padding: 3px 8px 3px 0; }
  .interval { width: 90px; }
  .chart.map { max-width: 480px; }
  section { padding-top: 14px; margin-top: 14px; }
  .winner { padding: 10px 0; }
  .winner > .said, .winner > .hear { break-inside: avoid; break-after: avoid; }
  pre { max-height: none; white-space: pre-wrap; }
  figure, .winner > header, tr, .line-of li { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
