/** The file that the extension of a source VM downloads and its script runs. */
export const INSTALL_SCRIPT = "install-mobility.sh";

/** True for an address whose file has the name that the script uses. */
export function isInstallScriptUrl(url: string): boolean {
  return URL.parse(url)?.pathname.endsWith(`/${INSTALL_SCRIPT}`) === true;
}
