/** The Prometheus HTTP API. */

/** `/api/v1/<path>` of the server; throws what the server says is wrong. */
export async function api<T>(path: string, parameters: Record<string, string | string[]>): Promise<T> {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) {
      form.append(name, one);
    }
  }
  const response = await fetch(`/api/v1/${path}?${form}`);
  const body = (await response.json()) as { status: string; data: T; error?: string };
  if (body.status !== 'success') {
    throw new Error(body.error ?? `Prometheus answered ${response.status}`);
  }
  return body.data;
}
