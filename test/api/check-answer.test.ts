import { describe, expect, it } from "vitest";
import { requireDescribed } from "../../api/check-answer.ts";
import { CONTRACT } from "../../api/contract.ts";

const POLICY = {
  name: "gold",
  crashConsistentFrequencyInMinutes: 5,
  appConsistentFrequencyInMinutes: 0,
  recoveryPointHistory: 1440,
  recoveryPointThresholdInMinutes: 15,
};
const POINT = { name: "1", recoveryPointType: "ApplicationConsistent" };
const error = { code: "policy-unknown", message: "There is none.", hint: "List them.", facts: { policy: "gold" } };

describe("an answer", () => {
  it.each([
    ["what it may be", CONTRACT.putPolicy, 201, POLICY, {}],
    ["nothing, where nothing is said", CONTRACT.deletePolicy, 204, undefined, {}],
    ["with fields that are undefined", CONTRACT.listPolicies, 200, { value: [POLICY], damaged: undefined }, {}],
    ["accepted, with its place", CONTRACT.newRecoveryPoint, 202, POINT, { location: "/api/x" }],
    ["a refusal", CONTRACT.showPolicy, 404, { error }, {}],
  ])("is taken when it is %s", (_what, operation, status, body, headers) => {
    expect(() => requireDescribed(operation, { status, body, headers })).not.toThrow();
  });

  it.each([
    ["a status that nobody described", CONTRACT.showPolicy, 201, POLICY, {}, /status 201/],
    ["without a field", CONTRACT.showPolicy, 200, { ...POLICY, name: undefined }, {}, /200: name: /],
    ["with a field too many", CONTRACT.showPolicy, 200, { ...POLICY, secret: "s" }, {}, /more than the contract/],
    [
      "with a field too many deep inside",
      CONTRACT.listPolicies,
      200,
      { value: [{ ...POLICY, secret: 1 }] },
      {},
      /more than/,
    ],
    ["a body where there is none", CONTRACT.deletePolicy, 204, {}, {}, /204 has no body/],
    ["without its Location", CONTRACT.newRecoveryPoint, 202, POINT, {}, /Location is missing/],
    ["with a Location too many", CONTRACT.showPolicy, 200, POLICY, { location: "/x" }, /Location is not/],
    ["a refusal of another status", CONTRACT.showPolicy, 409, { error }, {}, /policy-unknown is not answered with 409/],
    ["a refusal of no known code", CONTRACT.showPolicy, 404, { error: { ...error, code: "oh" } }, {}, /error\.code/],
    ["a refusal that says more", CONTRACT.showPolicy, 404, { error, stack: "s" }, {}, /more than a refusal/],
    ["a refusal in another form", CONTRACT.showPolicy, 404, "no", {}, /404/],
  ])("is not taken when it is %s", (_what, operation, status, body, headers, fault) => {
    expect(() => requireDescribed(operation, { status, body, headers })).toThrow(fault);
  });

  it("rule 8: what is wrong is told without the values", () => {
    const given = { status: 200, headers: {}, body: { registrationToken: { token: "HUNTER2" } } };
    expect(() => requireDescribed(CONTRACT.newRegistrationToken, { ...given, status: 201 })).toThrow(/^(?!.*HUNTER2)/);
  });
});
