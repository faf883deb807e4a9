import { LeewardError } from "../../replication/errors.ts";
import { type FlowContext, managementOf } from "../../replication/operations/context.ts";

/**
 * The app settings that installing the mobility service needs. Errors: `configuration-invalid` names the missing one.
 */
export function requireInstallable(context: FlowContext): {
  readonly apiUrl: string;
  readonly installScriptUrl: string;
} {
  const { apiUrl, installScriptUrl } = managementOf(context);
  if (apiUrl === undefined) {
    throw new LeewardError(
      "configuration-invalid",
      "LEEWARD_API_URL is missing: the mobility service would not find this app.",
    );
  }
  if (installScriptUrl !== undefined) return { apiUrl, installScriptUrl };
  throw new LeewardError(
    "configuration-invalid",
    "LEEWARD_MOBILITY_SCRIPT_URL is missing: the extension would have no install-mobility.sh to run in the VM.",
    {},
    {
      hint: "Put install-mobility.sh where the VMs can download it by https, and set the address; then enable protection again.",
    },
  );
}
