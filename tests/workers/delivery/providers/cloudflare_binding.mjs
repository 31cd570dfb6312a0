// Sends messages through miniflare's own `send_email` binding: a JSON list of them on stdin, a list of answers on stdout.
// The binding permits one sender and one recipient, so it must find both in a message.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(import.meta.url);
const { Miniflare } = createRequire(require.resolve("wrangler"))("miniflare"); // the one in wrangler
const SCRIPT = `export default {
  async fetch(request, env) {
    const answers = [];
    for (const message of await request.json()) {
      try {
        const { messageId } = await env.EMAIL.send(message);
        answers.push({ messageId });
      } catch (error) {
        answers.push({ code: error.code ?? null, error: String(error) });
      }
    }
    return Response.json(answers);
  },
}`;

const modules = { "main.mjs": { type: "esm", contents: SCRIPT } };
const miniflare = new Miniflare({
  workers: [
    {
      config: {
        name: "sender",
        compatibilityDate: "2026-01-01",
        manifest: { mainModule: "main.mjs", modules },
        env: {
          EMAIL: {
            type: "send-email",
            allowedSenderAddresses: ["shop@acme.example"],
            allowedDestinationAddresses: ["jane@mail.example"],
          },
        },
        exports: {},
      },
    },
  ],
  host: "127.0.0.1",
  port: 0,
  cf: false,
  enableDevRegistry: false,
  telemetry: { enabled: false },
  handleStructuredLogs: () => {},
});
const body = await text(process.stdin);
const response = await miniflare.dispatchFetch("http://sender.invalid/", { method: "POST", body });
process.stdout.write(await response.text());
await miniflare.dispose();
