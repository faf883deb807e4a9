import type { HttpFunctionOptions } from "@azure/functions";
import type { RegisterAnswer } from "../replication/service/protocol.ts";
import { registerService } from "../replication/service/register.ts";
import { bodyOf, httpHandler } from "./http-edge.ts";
import { registerBody } from "./request-shapes.ts";
import { admitted, ticketed } from "./service-route.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * A mobility service makes itself known; its one-time token stands in the body, so that no function key is shared with
 * a VM.
 */
export const registerMobility = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "anonymous",
  route: "mobility/{item}/register",
  handler: httpHandler(async (request) => {
    const app = application();
    const body = await bodyOf(request, registerBody);
    const service = await ticketed(app, request, body.registrationToken);
    const { itemId, token } = service;
    return admitted(service, app.gates.register, async () => {
      const opened = await registerService(app, itemId, { ...body, registrationToken: token });
      return {
        ...opened,
        ticket: await app.tickets.of(itemId),
        cacheEndpoint: app.access.endpoint,
      } satisfies RegisterAnswer;
    });
  }),
});
