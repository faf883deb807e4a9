"use strict";
// Azurite's telemetry is off here (it runs in-process, without its command line). Loading this module is harmless; using it is an error.
module.exports = new Proxy(
  {},
  {
    get(_target, property) {
      if (typeof property === "symbol" || property === "__esModule" || property === "then") return undefined;
      throw new Error(`applicationinsights.${property} was used, although telemetry is off in the local cloud.`);
    },
  },
);
