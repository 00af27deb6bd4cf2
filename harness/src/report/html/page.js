// The view of the page: which servers and workloads are shown, how the map and the rows are sorted. The address keeps
// it, so that a link shows the same. Without this script the page shows everything but the rows.
"use strict";
(() => {
  const one = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const form = one("#view");
  const boxes = all("#view [name=server]");
  const select = one("#view [name=workload]");
  const body = document.body;
  const PAGE = 100;
  const FEW = ["server", "workload", "block", "throughput_rps", "service_p50_us", "service_p99_us", "response_p50_us",
    "response_p99_us", "server_cpu_us_per_request", "server_peak_rss_bytes", "server_ctx_switches_per_request", "bound_by",
    "verdict", "verdict_reason", "error"];

  // The state, and the address that says it.
  const view = { server: new Set(), workload: "", map: "", sort: "", page: 0, columns: "" };
  const read = () => {
    const said = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
    view.server = new Set((said.get("server") || "").split(",").filter((name) => boxes.some((box) => box.value === name)));
    for (const name of ["workload", "map", "sort", "columns"]) view[name] = said.get(name) || "";
    view.page = Math.max(0, Number(said.get("page")) - 1 || 0);
  };
  const write = () => {
    const said = new URLSearchParams();
    if (view.server.size) said.set("server", [...view.server].join(","));
    for (const name of ["workload", "map", "sort", "columns"]) if (view[name]) said.set(name, view[name]);
    if (view.page) said.set("page", view.page + 1);
    history.replaceState(null, "", "#" + said);
  };
  const shows = (server) => !view.server.size || view.server.has(server);

  // The map and the sections.
  const fade = (server) => {
    const off = boxes.filter((box) => (server ? box.value !== server : !shows(box.value)));
    const places = off.map((box) => box.dataset.place).join(" ");
    // Each change makes the browser draw all pictures again.
    if (body.dataset.off !== places) body.dataset.off = places;
  };
  const tbody = one(".map tbody");
  const order = tbody ? [...tbody.rows] : [];
  const showPage = () => {
    for (const box of boxes) box.checked = view.server.has(box.value);
    select.value = view.workload;
    if (select.selectedIndex < 0) { view.workload = ""; select.value = ""; }
    for (const element of all("[data-s]")) {
      const known = boxes.some((box) => box.value === element.dataset.s);
      element.hidden = known && !shows(element.dataset.s);
    }
    for (const element of all("[data-w]")) element.hidden = view.workload !== "" && element.dataset.w !== view.workload;
    fade();
    const descending = view.map.startsWith("-");
    const by = view.map.replace(/^-/, "");
    for (const button of all(".map .sort")) button.setAttribute("aria-pressed", button.closest("th").dataset.w === by);
    if (!tbody) return;
    const value = (row) => {
      const cell = [...row.cells].find((cell) => cell.dataset.w === by);
      return cell && cell.dataset.v !== undefined ? Number(cell.dataset.v) : null;
    };
    const rows = [...order];
    if (by) rows.sort((a, b) => compare(value(a), value(b), descending));
    tbody.append(...rows);
  };
  // What is missing comes last, whichever way.
  const compare = (a, b, descending) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const sign = a < b ? -1 : a > b ? 1 : 0;
    return descending ? -sign : sign;
  };

  // The rows: a column is taken apart when it is first looked at.
  let data = null;
  const column = (name) => {
    data = data || JSON.parse(one("#data").textContent);
    const found = data.columns.find((known) => known.name === name);
    if (found && !found.all) {
      if (found.values !== undefined) found.all = found.values.split(",");
      else if (found.places !== undefined) found.all = found.places.split(",").map((place) => found.texts[place]);
      else found.all = new Array(data.rows).fill(found.same);
    }
    return found;
  };
  const chosen = () => {
    const server = column("server").all;
    const workload = column("workload_id").all;
    const rows = [];
    for (let n = 0; n < data.rows; n++) {
      if (shows(server[n]) && (!view.workload || workload[n] === view.workload)) rows.push(n);
    }
    const by = column(view.sort.replace(/^-/, ""));
    if (by) {
      const key = by.all.map((text) => (text === "" ? null : by.number ? Number(text) : text));
      rows.sort((a, b) => compare(key[a], key[b], view.sort.startsWith("-")));
    }
    return rows;
  };
  const make = (tag, text, attributes) => Object.assign(document.createElement(tag), { textContent: text }, attributes);
  const showRows = () => {
    const rows = chosen();
    const varied = (name) => { const known = column(name); return known && !(known.same === ""); };
    const names = view.columns === "all" ? data.columns.map((known) => known.name) : FEW.filter(varied);
    view.page = Math.min(view.page, Math.max(0, Math.ceil(rows.length / PAGE) - 1));
    const page = rows.slice(view.page * PAGE, (view.page + 1) * PAGE);
    const head = document.createElement("tr");
    for (const name of names) {
      const cell = make("th", "", { scope: "col", className: column(name).number ? "" : "t" });
      const by = view.sort.replace(/^-/, "") === name;
      if (by) cell.ariaSort = view.sort.startsWith("-") ? "descending" : "ascending";
      const button = make("button", name + (by ? (view.sort.startsWith("-") ? " ▾" : " ▴") : ""), { type: "button" });
      button.dataset.sort = name;
      cell.append(button, " ", make("a", "?", { href: "#column-" + name, title: "what " + name + " says" }));
      head.append(cell);
    }
    one("#table thead").replaceChildren(head);
    one("#table tbody").replaceChildren(...page.map((n) => {
      const line = document.createElement("tr");
      for (const name of names) {
        const known = column(name);
        line.append(make("td", known.all[n], { className: known.number ? "" : "t", title: known.number ? "" : known.all[n] }));
      }
      return line;
    }));
    const first = rows.length ? view.page * PAGE + 1 : 0;
    one("#shown").textContent = `${first}–${view.page * PAGE + page.length} of ${rows.length} rows`;
    one("#previous").disabled = view.page === 0;
    one("#next").disabled = (view.page + 1) * PAGE >= rows.length;
    one("#all-columns").checked = view.columns === "all";
  };
  const show = () => { showPage(); showRows(); };
  const change = (what) => { Object.assign(view, what); show(); write(); };

  // RFC 4180, all rows and columns: the bytes of the file.
  const csv = () => {
    const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const columns = data.columns.map((known) => column(known.name).all);
    const lines = [data.columns.map((known) => quoted(known.name)).join(",")];
    for (let n = 0; n < data.rows; n++) lines.push(columns.map((texts) => quoted(texts[n])).join(","));
    return lines.join("\n") + "\n";
  };

  form.hidden = false;
  one(".tools").hidden = false;
  form.addEventListener("change", () => change({
    server: new Set(boxes.filter((box) => box.checked).map((box) => box.value)), workload: select.value, page: 0,
  }));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => { event.preventDefault(); change({ server: new Set(), workload: "", page: 0 }); });
  one("#map").addEventListener("click", (event) => {
    const button = event.target.closest(".sort");
    if (!button) return;
    const id = button.closest("th").dataset.w;
    change({ map: view.map === id ? "-" + id : view.map === "-" + id ? "" : id });
  });
  one("#table").addEventListener("click", (event) => {
    const name = event.target.dataset.sort;
    if (name) {
      change({ sort: view.sort === name ? "-" + name : view.sort === "-" + name ? "" : name, page: 0 });
      one(`#table [data-sort="${name}"]`)?.focus();
    }
  });
  one("#previous").addEventListener("click", () => change({ page: view.page - 1 }));
  one("#next").addEventListener("click", () => change({ page: view.page + 1 }));
  one("#all-columns").addEventListener("change", (event) => change({ columns: event.target.checked ? "all" : "" }));
  one("#download").addEventListener("click", () => {
    const link = make("a", "", { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })), download: data.file });
    link.click();
    URL.revokeObjectURL(link.href);
  });

  // One cell of the map is in the order of Tab; the arrow keys go from there.
  const cells = all(".map td[tabindex]");
  cells.forEach((cell, place) => { cell.tabIndex = place ? -1 : 0; });
  one("#map").addEventListener("keydown", (event) => {
    const cell = event.target.closest("td[tabindex]");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!cell || !step) return;
    event.preventDefault();
    let row = cell.parentElement;
    let next = cell;
    do {
      if (step[0]) row = step[0] < 0 ? row.previousElementSibling : row.nextElementSibling;
      next = row && (step[0] ? row.cells[next.cellIndex] : step[1] < 0 ? next.previousElementSibling : next.nextElementSibling);
      if (step[0] && row && row.hidden) { next = row.cells[cell.cellIndex]; continue; }
    } while (next && (next.hidden || (step[0] && row.hidden)));
    if (!next || !next.hasAttribute("tabindex")) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  // A server that is pointed at stands out in the pictures.
  for (const kind of ["pointerover", "focusin"]) {
    document.addEventListener(kind, (event) => {
      const server = event.target.closest?.("tr[data-s]")?.dataset.s;
      fade(boxes.some((box) => box.value === server) ? server : undefined);
    });
  }
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#column-")) open();
    if (location.hash.includes("=")) { read(); show(); }
  });
  const open = () => {
    one(".meanings").open = true;
    one(CSS.escape ? "#" + CSS.escape(location.hash.slice(1)) : location.hash)?.scrollIntoView();
  };
  read();
  show();
  if (location.hash.startsWith("#column-")) open();
})();
