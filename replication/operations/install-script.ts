/** The file that the extension of a source VM downloads, and that the script it is given runs. */
export const INSTALL_SCRIPT = "install-mobility.sh";

/** True for an address whose file keeps the name that the script calls it by. */
export function isInstallScriptUrl(url: string): boolean {
  return URL.parse(url)?.pathname.endsWith(`/${INSTALL_SCRIPT}`) === true;
}
