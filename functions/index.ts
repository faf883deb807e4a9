import { app } from "@azure/functions";
import { registerFlows } from "../orchestrations/durable.ts";
import { applyHints } from "./apply-hints.ts";
import { decideAlerts } from "./decide-alerts.ts";
import { deleteAlertRule } from "./delete-alert-rule.ts";
import { disableProtection } from "./disable-protection.ts";
import { failoverCommit } from "./failover-commit.ts";
import { grantRestoreAccess } from "./grant-restore-access.ts";
import { heartbeatMobility } from "./heartbeat-mobility.ts";
import { listItems } from "./list-items.ts";
import { listJobs } from "./list-jobs.ts";
import { listRecoveryPoints } from "./list-recovery-points.ts";
import { newRecoveryPoint } from "./new-recovery-point.ts";
import { newRegistrationToken } from "./new-registration-token.ts";
import { protectItem } from "./protect-item.ts";
import { putAlertRule } from "./put-alert-rule.ts";
import { receiveAlert } from "./receive-alert.ts";
import { registerMobility } from "./register-mobility.ts";
import { repairReplication } from "./repair-replication.ts";
import { restoreRecoveryPoint } from "./restore-recovery-point.ts";
import { restoreSlices } from "./restore-slices.ts";
import { rotateToken } from "./rotate-token.ts";
import { settleMobility } from "./settle-mobility.ts";
import { showAlertRule } from "./show-alert-rule.ts";
import { showItem } from "./show-item.ts";
import { showJob } from "./show-job.ts";
import { showRestore } from "./show-restore.ts";
import { sweep } from "./sweep.ts";
import { takePoints } from "./take-points.ts";
import { deleteNetworkMapping } from "./delete-network-mapping.ts";
import { deleteRestore } from "./delete-restore.ts";
import { deletePolicy } from "./delete-policy.ts";
import { changeNetworkMapping } from "./change-network-mapping.ts";
import { listNetworkMappings } from "./list-network-mappings.ts";
import { listPolicies } from "./list-policies.ts";
import { mapNetworks } from "./map-networks.ts";
import { putPolicy } from "./put-policy.ts";
import { showNetworkMapping } from "./show-network-mapping.ts";
import { showPolicy } from "./show-policy.ts";
import { unplannedFailover } from "./unplanned-failover.ts";
import { applicationOnce } from "./wiring.ts";

/**
 * Registers every function with the host. Handlers live in files of their own: outside a host, registering does nothing
 * but warn.
 */
const application = applicationOnce();

// Items that are kept warm are let go, so that the next process need not wait until their claims run out.
app.hook.appTerminate(() => application().bell.close());

app.storageQueue("applyHints", applyHints(application));
app.storageQueue("restoreSlices", restoreSlices(application));
app.storageQueue("decideAlerts", decideAlerts(application));
app.timer("takePoints", takePoints(application));
app.timer("sweep", sweep(application));

app.http("protectItem", protectItem(application));
app.http("disableProtection", disableProtection(application));
app.http("unplannedFailover", unplannedFailover(application));
app.http("failoverCommit", failoverCommit(application));
app.http("listJobs", listJobs(application));
app.http("showJob", showJob(application));
app.http("newRegistrationToken", newRegistrationToken(application));
app.http("listItems", listItems(application));
app.http("showItem", showItem(application));
app.http("listRecoveryPoints", listRecoveryPoints(application));
app.http("newRecoveryPoint", newRecoveryPoint(application));
app.http("repairReplication", repairReplication(application));
app.http("rotateToken", rotateToken(application));
app.http("restoreRecoveryPoint", restoreRecoveryPoint(application));
app.http("showRestore", showRestore(application));
app.http("grantRestoreAccess", grantRestoreAccess(application));
app.http("deleteRestore", deleteRestore(application));

app.http("receiveAlert", receiveAlert(application));
app.http("putAlertRule", putAlertRule(application));
app.http("showAlertRule", showAlertRule(application));
app.http("deleteAlertRule", deleteAlertRule(application));

app.http("putPolicy", putPolicy(application));
app.http("listPolicies", listPolicies(application));
app.http("showPolicy", showPolicy(application));
app.http("deletePolicy", deletePolicy(application));
app.http("mapNetworks", mapNetworks(application));
app.http("listNetworkMappings", listNetworkMappings(application));
app.http("showNetworkMapping", showNetworkMapping(application));
app.http("changeNetworkMapping", changeNetworkMapping(application));
app.http("deleteNetworkMapping", deleteNetworkMapping(application));

app.http("registerMobility", registerMobility(application));
app.http("heartbeatMobility", heartbeatMobility(application));
app.http("settleMobility", settleMobility(application));

registerFlows(application);
