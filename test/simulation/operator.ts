import { textOf } from "../../replication/resources/json.ts";
import type { AppAnswer, AppRequest, RouteName } from "./function-app.ts";
import type { PlannedOperation } from "./plan.ts";
import { SimulatedProcess } from "./process.ts";
import type { ProtectedMachine, World } from "./world.ts";

/**
 * People and scripts that use the API. They repeat a request until it is answered, and install the service where
 * Leeward does not.
 */
export interface Operator {
  operate(machine: ProtectedMachine, operation: PlannedOperation): Promise<void>;
}

const PATIENCE_MS = 30_000;
const AGAIN_MS = 5_000;
const TRIES_MAX = 60;
/** A request that is refused because another operation runs is sent again after this time. */
const BUSY_AGAIN_MS = 10_000;
const BUSY_TRIES_MAX = 18;

export function createOperator(world: World): Operator {
  const process = new SimulatedProcess("operator", world.surroundings);
  let requests = 0;

  const send = (route: RouteName, request: AppRequest): Promise<AppAnswer | undefined> =>
    new Promise((resolve) => {
      const cancel = process.hear(PATIENCE_MS, () => resolve(undefined));
      const sent = process.send({ place: "control", access: "write", operation: route }, async () =>
        world.request(route, request),
      );
      sent.then(
        (answer) => {
          cancel();
          resolve(answer);
        },
        () => {
          cancel();
          resolve(undefined);
        },
      );
    });
  /** Repeats the same request until it is accepted or refused. */
  const ask = async (
    route: RouteName,
    machine: ProtectedMachine,
    rest: Partial<AppRequest> = {},
  ): Promise<AppAnswer | undefined> => {
    requests += 1;
    const headers = { "x-ms-client-request-id": `request-${requests}` };
    const request: AppRequest = { headers, ...rest, params: { item: machine.itemId, ...rest.params } };
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const answer = await send(route, request);
      const isFinal = answer !== undefined && answer.status < 500 && answer.status !== 429;
      if (isFinal) {
        world.surroundings.trace(`operator ${route} ${machine.itemId}: ${answer.status} ${codeOf(answer)}`);
        return answer;
      }
      await process.pause(AGAIN_MS);
    }
    return undefined;
  };
  /** Repeats a request while it is refused with 409, because something else is under way. */
  const insist = async (route: RouteName, machine: ProtectedMachine, rest: Partial<AppRequest> = {}): Promise<void> => {
    for (let tries = 0; tries < BUSY_TRIES_MAX; tries += 1) {
      const answer = await ask(route, machine, rest);
      if (answer?.status !== 409) return;
      await process.pause(BUSY_AGAIN_MS);
    }
  };
  const { policy } = world.plan;
  const policyBody = {
    crashConsistentFrequencyInMinutes: policy.pointIntervalMs / 60_000,
    recoveryPointHistory: policy.retentionMs / 60_000,
  };
  const enable = async (machine: ProtectedMachine): Promise<void> => {
    if (machine.plan.protectedBy === "machine") {
      await insist("protectItem", machine, {
        body: { sourceVmId: machine.vmId, targetRegion: "northeurope", policy: policyBody },
      });
      return;
    }
    const disks = machine.source.disks;
    const answer = await ask("protectItem", machine, { body: { disks, policy: policyBody } });
    const token = tokenOf(answer) ?? tokenOf(await ask("newRegistrationToken", machine, { body: {} }));
    if (token !== undefined) machine.source.install(token);
  };
  const restore = async (machine: ProtectedMachine): Promise<void> => {
    const listed = await ask("listRecoveryPoints", machine);
    const points = (listed?.body as { readonly value?: readonly { readonly name: string }[] } | undefined)?.value ?? [];
    if (points.length === 0) return;
    await ask("restoreRecoveryPoint", machine, {
      params: { item: machine.itemId, point: world.random.pick(points).name },
    });
  };
  return {
    operate: async (machine, operation) => {
      switch (operation) {
        case "enable":
          return enable(machine);
        case "restore":
          return restore(machine);
        case "disable":
          return insist("disableProtection", machine);
        case "commit":
          return insist("failoverCommit", machine);
        case "repair":
          return void (await ask("repairReplication", machine));
        case "failover": {
          const recoveryPointType = world.random.pick(["Latest", "LatestProcessed"]);
          const sourceSiteOperations = world.random.pick(["Required", "NotRequired"]);
          return insist("unplannedFailover", machine, { body: { recoveryPointType, sourceSiteOperations } });
        }
      }
    },
  };
}

const codeOf = ({ body }: AppAnswer): string => textOf(body, "error", "code") ?? "";

const tokenOf = (answer: AppAnswer | undefined): string | undefined =>
  answer === undefined ? undefined : textOf(answer.body, "registrationToken");
