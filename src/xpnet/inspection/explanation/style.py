"""The style of a record's page: one column on a narrow screen, two lanes on a wide one; light and dark."""

STYLE = """
.xpnet-step { --ink: #1d2430; --soft: #5b6675; --line: #d9dee6; --paper: #ffffff; --card: #f7f8fa; --mark: #1f5fa8;
  --good: #1b7a3d; --bad: #b3261e; --kink: #8a5a00; color: var(--ink); background: var(--paper); color-scheme: light;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  padding: 1.5rem clamp(.75rem, 3vw, 2.5rem) 2rem }
@media (prefers-color-scheme: dark) { .xpnet-step { --ink: #e6e9ee; --soft: #a2adbb; --line: #39424f; --paper: #14181e;
  --card: #1d232b; --mark: #7db4f0; --good: #6fcf8f; --bad: #ff8a80; --kink: #e5b25a; color-scheme: dark } }
.xpnet-step * { box-sizing: border-box }
.xpnet-step > * { max-width: 74rem; margin-left: auto; margin-right: auto }
.xpnet-step h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem }
.xpnet-step dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr));
  gap: .1rem 1.5rem;
  margin: 0 0 1rem }
.xpnet-step dl div { display: flex; gap: .75rem }
.xpnet-step dt { color: var(--soft); flex: 0 0 5.5rem }
.xpnet-step dd { margin: 0; overflow-wrap: anywhere }
.xpnet-step .note { color: var(--kink); font-weight: 600 }
.xpnet-step .tiles { display: flex; flex-wrap: wrap; gap: .6rem }
.xpnet-step .tile { border: 1px solid var(--line); border-left: 4px solid var(--mark); border-radius: 6px;
  padding: .4rem .9rem; background: var(--card) }
.xpnet-step .tile span { display: block; color: var(--soft); font-size: .85rem }
.xpnet-step .tile b { font-size: 1.15rem; font-variant-numeric: tabular-nums }
.xpnet-step .tile.good { border-left-color: var(--good) }
.xpnet-step .tile.bad { border-left-color: var(--bad) }
.xpnet-step .tile.kink { border-left-color: var(--kink) }
.xpnet-step nav { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem; margin-top: 1rem;
  margin-bottom: 1rem }
.xpnet-step nav a { border: 1px solid var(--line); border-radius: 6px; padding: .25rem .7rem; color: inherit;
  text-decoration: none; display: flex; gap: .5rem; align-items: baseline }
.xpnet-step nav a:hover { border-color: var(--mark) }
.xpnet-step nav span, .xpnet-step nav i { color: var(--soft); font-style: normal; font-size: .85rem }
.xpnet-step details { border: 1px solid var(--line); border-radius: 8px; margin-bottom: .9rem; padding: 0 1rem;
  scroll-margin-top: 1rem }
.xpnet-step details[open] { padding-bottom: 1rem }
.xpnet-step summary { cursor: pointer; font-weight: 650; font-size: 1.1rem; padding: .6rem 0 }
.xpnet-step summary span { color: var(--soft); font-weight: 400; font-size: .9rem; margin-left: .5rem;
  overflow-wrap: anywhere }
.xpnet-step .lanes { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 0 1.5rem }
.xpnet-step .lanes > * { min-width: 0 }
.xpnet-step .lanes .wide { grid-column: 1 / -1 }
.xpnet-step .grid { display: grid; gap: .6rem; grid-template-columns: minmax(0, 1fr) }
.xpnet-step details > .grid { grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)) }
.xpnet-step .wide .grid { grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)) }
.xpnet-step h3 { font-size: .85rem; letter-spacing: .06em; text-transform: uppercase; color: var(--mark);
  margin: .3rem 0 .5rem; border-bottom: 2px solid var(--line) }
.xpnet-step article { background: var(--card); border-radius: 6px; padding: .55rem .8rem .6rem; min-width: 0 }
.xpnet-step h4 { display: flex; align-items: baseline; gap: .5rem; margin: 0; font-size: 1.05rem; line-height: 1.3 }
.xpnet-step .order { color: var(--soft); font-size: .75rem; font-weight: 400; min-width: 1.1rem; text-align: right;
  font-variant-numeric: tabular-nums }
.xpnet-step .shape { color: var(--soft); font-size: .85rem; font-weight: 400; margin-left: auto; white-space: nowrap }
.xpnet-step .equation { font-family: "STIX Two Text", "Cambria Math", Cambria, Georgia, "Noto Serif", serif;
  font-size: 1.02rem; margin: .1rem 0 .35rem; overflow-wrap: anywhere }
.xpnet-step sub, .xpnet-step sup { line-height: 0; font-size: .72em }
.xpnet-step .number { font-size: 1.1rem; font-variant-numeric: tabular-nums }
.xpnet-step .scroll { overflow-x: auto; max-width: 100% }
.xpnet-step table { border-collapse: collapse; margin: 0; font-variant-numeric: tabular-nums; font-size: .95rem;
  color: inherit; border: 0 }
.xpnet-step table.matrix { border: solid var(--ink); border-width: 0 1.5px; border-radius: .65rem;
  border-collapse: separate; border-spacing: 0 }
.xpnet-step tr, .xpnet-step table.summary tr { background: none }
.xpnet-step td, .xpnet-step th { padding: .05rem .55rem; text-align: right; white-space: nowrap; border: 0 }
.xpnet-step th { color: var(--soft); font-weight: 400; font-size: .85rem }
.xpnet-step .corner { margin: .35rem 0 .1rem; color: var(--soft); font-size: .85rem }
.xpnet-step .printed, .xpnet-step .check, .xpnet-step .source { font-size: .85rem; margin-top: .4rem;
  color: var(--soft) }
.xpnet-step .printed { display: flex; flex-wrap: wrap; gap: .2rem .5rem; align-items: center; color: inherit }
.xpnet-step .printed em { font-style: normal; color: var(--good) }
.xpnet-step .printed.bad em, .xpnet-step .check.differs { color: var(--bad); font-weight: 600 }
.xpnet-step .check.agrees { color: var(--good) }
.xpnet-step .check.kink { color: var(--kink) }
.xpnet-step footer { color: var(--soft); font-size: .85rem }
.xpnet-step footer ul { margin: .2rem 0 0; padding-left: 1.2rem }
@media print { .xpnet-step details { break-inside: avoid-page } }
"""
