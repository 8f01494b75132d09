"use strict";
// Loaded into Azurite by `node --require`. Azurite reads its accounts from the environment, once a minute. This applies
// new keys at once: it sets the environment variable from a line {"sequence", "accounts"} on standard input, has every
// account store read it, and acknowledges with "keys <sequence>" on standard output.
// When standard input ends, the parent process has ended, and Azurite exits.

const path = require("path");
const readline = require("readline");

const source = path.dirname(process.argv[1]);
const AccountDataStore = require(path.join(source, "common", "AccountDataStore")).default;

const stores = new Set();
const init = AccountDataStore.prototype.init;
AccountDataStore.prototype.init = function () {
  stores.add(this);
  return init.call(this);
};

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { sequence, accounts } = JSON.parse(line);
  process.env.AZURITE_ACCOUNTS = accounts;
  for (const store of stores) {
    store.refresh();
  }
  console.log(`keys ${sequence}`);
});
lines.on("close", () => process.exit(0));

// In a table transaction, Azurite expects the account name in the path before the table name, and so fails on URLs that
// have the account in the host name, as in Azure.
const { BatchSerialization } = require(path.join(source, "table", "batch", "BatchSerialization"));
BatchSerialization.prototype.extractPath = (url) => url.match(/^https?:\/\/[^/]+\/(\w+)/);
