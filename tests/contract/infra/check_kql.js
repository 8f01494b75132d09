// Reads {"tables": {name: "(column: type, …)"}, "queries": {name: text}} on standard input, and writes what Microsoft's
// own language service of Kusto has to say of each query: {name: [message, …]}.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const folder = path.dirname(require.resolve('@kusto/language-service-next/package.json'));
for (const file of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
  vm.runInThisContext(fs.readFileSync(path.join(folder, file), 'utf8'), { filename: file });
}

const { tables, queries } = JSON.parse(fs.readFileSync(0, 'utf8'));
const symbols = Object.entries(tables).map(([name, columns]) => Kusto.Language.Symbols.TableSymbol.From(columns).WithName(name));
const database = new Kusto.Language.Symbols.DatabaseSymbol.ctor('workspace', symbols);
const globals = Kusto.Language.GlobalState.Default.WithDatabase(database);
const found = {};
for (const [name, text] of Object.entries(queries)) {
  const diagnostics = Kusto.Language.KustoCode.ParseAndAnalyze(text, globals).GetDiagnostics();
  found[name] = Array.from({ length: diagnostics.Count }, (_, i) => diagnostics.getItem(i)).map((d) => `${d.Severity}: ${d.Message}`);
}
process.stdout.write(JSON.stringify(found));
