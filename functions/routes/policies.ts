import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import * as records from "../../replication/items/policy-records.ts";
import { serve } from "../serving/http-edge.ts";
import { storedPolicyView } from "../views/policy-views.ts";
import type { ApplicationSource } from "../wiring.ts";

export const listPolicies = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.listPolicies, application, async () => {
    const { policies, damaged } = await records.listPolicies(application());
    return {
      status: 200,
      body: { value: policies.map(storedPolicyView), ...(damaged.length === 0 ? {} : { damaged }) },
    };
  });

export const showPolicy = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.showPolicy, application, async ({ params }) => ({
    status: 200,
    body: storedPolicyView(await records.readPolicy(application(), params.policy)),
  }));

export const putPolicy = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.putPolicy, application, async ({ params, body }) => {
    const { record, isNew } = await records.putPolicy(application(), params.policy, await body());
    return { status: isNew ? 201 : 200, body: storedPolicyView(record) };
  });

export const deletePolicy = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.deletePolicy, application, async ({ params }) => {
    await records.deletePolicy(application(), params.policy);
    return { status: 204, body: undefined };
  });
