"use strict";
// Reads {tables: {name: schema}, queries: {name: text}} and writes {name: {problems: [...], columns: [...], literals: [...]}}.
// The work is done by Microsoft's own Kusto language service, which the portal uses.
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const folder = path.dirname(require.resolve("@kusto/language-service-next/package.json"));
for (const file of ["bridge.min.js", "Kusto.Language.Bridge.min.js"]) {
  vm.runInThisContext(fs.readFileSync(path.join(folder, file), "utf8"), { filename: file });
}
const { GlobalState, KustoCode, Symbols } = Kusto.Language;

function listed(list) {
  const items = [];
  for (let place = 0; place < System.Array.getCount(list); place++) items.push(System.Array.getItem(list, place));
  return items;
}

function answer(globals, text) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const problems = listed(code.GetDiagnostics()).map((d) => `${d.Severity}: ${d.Message}`);
  const columns = code.ResultType && code.ResultType.Columns ? listed(code.ResultType.Columns).map((c) => c.Name) : [];
  return { problems, columns };
}

const wanted = JSON.parse(fs.readFileSync(0, "utf8"));
const tables = Object.entries(wanted.tables).map(([name, schema]) => Symbols.TableSymbol.From(schema).WithName(name));
const database = new Symbols.DatabaseSymbol.ctor("logs", tables);
const globals = GlobalState.Default.WithDatabase(database);
process.stdout.write(
  JSON.stringify(Object.fromEntries(Object.entries(wanted.queries).map(([name, text]) => [name, answer(globals, text)]))),
);
