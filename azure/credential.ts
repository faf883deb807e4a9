import type { TokenCredential } from "@azure/identity";

let made: Promise<TokenCredential> | undefined;

/**
 * The app's identity, one for all clients so that they share its tokens. The package takes longer to load than all
 * others together: it is loaded for the first token only.
 */
export function defaultCredential(): TokenCredential {
  return {
    getToken: async (scopes, options) => {
      made ??= import("@azure/identity").then(({ DefaultAzureCredential }) => new DefaultAzureCredential());
      return (await made).getToken(scopes, options);
    },
  };
}
