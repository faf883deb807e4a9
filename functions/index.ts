import { type HttpFunctionOptions, app } from "@azure/functions";
import type { OperationName } from "../api/contract.ts";
import { registerFlows } from "../orchestrations/durable.ts";
import { applyHints } from "./queues/apply-hints.ts";
import { decideAlerts } from "./queues/decide-alerts.ts";
import { restoreSlices } from "./queues/restore-slices.ts";
import * as alertRules from "./routes/alert-rules.ts";
import * as alerts from "./routes/alerts.ts";
import * as document from "./routes/document.ts";
import * as failovers from "./routes/failovers.ts";
import * as jobs from "./routes/jobs.ts";
import * as mobility from "./routes/mobility.ts";
import * as networkMappings from "./routes/network-mappings.ts";
import * as policies from "./routes/policies.ts";
import * as protectedItems from "./routes/protected-items.ts";
import * as recoveryPoints from "./routes/recovery-points.ts";
import * as restores from "./routes/restores.ts";
import { sweep } from "./timers/sweep.ts";
import { takePoints } from "./timers/take-points.ts";
import { type ApplicationSource, applicationOnce } from "./wiring.ts";

/** One trigger for each operation of the contract. */
const ROUTES: Readonly<Record<OperationName, (application: ApplicationSource) => HttpFunctionOptions>> = {
  ...protectedItems,
  ...failovers,
  ...recoveryPoints,
  ...restores,
  ...jobs,
  ...policies,
  ...networkMappings,
  ...alertRules,
  ...alerts,
  ...mobility,
  ...document,
};

/** Registers every function with the host. Handlers are in their own files: outside a host, registering only warns. */
const application = applicationOnce();

// Releases the items that are kept warm, so that the next process need not wait for their claims to expire.
app.hook.appTerminate(() => application().wakeUps.close());

app.storageQueue("applyHints", applyHints(application));
app.storageQueue("restoreSlices", restoreSlices(application));
app.storageQueue("decideAlerts", decideAlerts(application));
app.timer("takePoints", takePoints(application));
app.timer("sweep", sweep(application));
for (const [name, trigger] of Object.entries(ROUTES)) app.http(name, trigger(application));

registerFlows(application);
