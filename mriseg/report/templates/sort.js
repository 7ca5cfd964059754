"use strict";
// A heading's button sorts its table: up, then down. What has no value stays last.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending", numeric = head.dataset.kind === "number";
    const value = (row) => {
      const cell = row.cells[head.cellIndex];
      return numeric ? parseFloat(cell.dataset.sort) : cell.textContent.trim();
    };
    const compare = (a, b) => {
      const x = value(a), y = value(b);
      if (numeric) {
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return up ? x - y : y - x;
      }
      const order = x.localeCompare(y, "en", { numeric: true });
      return up ? order : -order;
    };
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...Array.from(body.rows).sort(compare));
  });
}
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.of);
    getSelection().selectAllChildren(text);
    try {
      await navigator.clipboard.writeText(text.innerText);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected: press Ctrl+C or Cmd+C";
    }
  });
}
