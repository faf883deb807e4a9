import type { HttpFunctionOptions } from "@azure/functions";
import { putPolicy as put } from "../replication/items/policy-records.ts";
import { bodyOf, httpHandler } from "./http-edge.ts";
import { policyBody } from "./request-shapes.ts";
import { storedPolicyView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** Makes a replication policy (201) or changes one (200); a change acts on every item that has it. */
export const putPolicy = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["PUT"],
  authLevel: "function",
  route: "replicationPolicies/{policy}",
  handler: httpHandler(async (request) => {
    const { record, isNew } = await put(
      application(),
      request.params["policy"] ?? "",
      await bodyOf(request, policyBody),
    );
    return { status: isNew ? 201 : 200, body: storedPolicyView(record) };
  }),
});
