import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import { recordHeartbeat } from "../../replication/service/heartbeat.ts";
import type { RegisterAnswer } from "../../replication/service/protocol.ts";
import { registerService } from "../../replication/service/register.ts";
import { settleEpoch } from "../../replication/service/settle.ts";
import { bearerOf, serve } from "../serving/http-edge.ts";
import { admitted, ticketed } from "../serving/service-route.ts";
import type { ApplicationSource } from "../wiring.ts";

/** The one-time token is in the body, so that no function key is shared with a VM. */
export const registerMobility = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.registerMobility, application, async (asked) => {
    const app = application();
    const body = await asked.body();
    const service = await ticketed(app, asked.params, body.registrationToken);
    const { itemId, token } = service;
    return admitted(service, app.gates.register, async (): Promise<RegisterAnswer> => {
      const opened = await registerService(app, itemId, { ...body, registrationToken: token });
      return { ...opened, ticket: await app.tickets.of(itemId), cacheEndpoint: await app.access.endpoint(itemId) };
    });
  });

export const heartbeatMobility = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.heartbeatMobility, application, async ({ params, request, body }) => {
    const app = application();
    const service = await ticketed(app, params, bearerOf(request));
    const told = await body();
    return admitted(service, app.gates.heartbeat, () => recordHeartbeat(app, service.itemId, service.token, told));
  });

export const settleMobility = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.settleMobility, application, async ({ params, request, body }) => {
    const app = application();
    const service = await ticketed(app, params, bearerOf(request));
    const asked = await body();
    return admitted(service, app.gates.settle, () => settleEpoch(app, service.itemId, service.token, asked));
  });
