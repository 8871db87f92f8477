/** The package brings no types. */
declare module 'proxy-from-env' {
  /** The proxy for `url` by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY (in both cases); '' for none. */
  export function getProxyForUrl(url: string): string;
}
