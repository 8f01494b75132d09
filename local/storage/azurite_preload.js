"use strict";
// Loaded into Azurite by `node --require`. Azurite reads its accounts from the environment, once a minute; this
// makes new keys count at once: a line {"sequence", "accounts"} on standard input becomes the environment's value,
// every account store reads it, and "keys <sequence>" on standard output says so.
// When standard input ends, whoever started Azurite is gone, and so is Azurite.

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

// In a table transaction, Azurite looks for the table's name behind an account's name in the path, and so fails on
// URLs that have the account in their host name, as all of Azure's have.
const { BatchSerialization } = require(path.join(source, "table", "batch", "BatchSerialization"));
BatchSerialization.prototype.extractPath = (url) => url.match(/^https?:\/\/[^/]+\/(\w+)/);
