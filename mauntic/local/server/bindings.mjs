// The bindings of wrangler.toml in miniflare's form: {name: {type, ...}}.
import { Failure } from "../common/failure.mjs";

const UNUSED_DATABASE = "postgresql://none:none@127.0.0.1:9/none"; // refuses connections

// wrangler's type of a binding -> miniflare's options. Other types have no local equivalent.
const CONVERSIONS = {
  plain_text: ({ value }) => ({ type: "text", value }),
  json: ({ value }) => ({ type: "json", value }),
  queue: ({ queue_name: name, delivery_delay: deliveryDelay }) => ({ type: "queue", name, deliveryDelay }),
  r2_bucket: ({ bucket_name: name }) => ({ type: "r2", name }),
  analytics_engine: ({ dataset: name }) => ({ type: "analytics-engine-dataset", name }),
  service: ({ service: worker, entrypoint: exportName }) => ({ type: "worker", worker, exportName }),
  send_email: (binding) => ({
    type: "send-email",
    destinationAddress: binding.destination_address,
    allowedDestinationAddresses: binding.allowed_destination_addresses,
    allowedSenderAddresses: binding.allowed_sender_addresses,
  }),
};

/** `declared`: wrangler's bindings of one env. Hyperdrive connects to `databaseUrl`. */
export function localBindings(env, declared, databaseUrl = UNUSED_DATABASE) {
  const convert = ([name, binding]) => {
    if (binding.type === "hyperdrive") {
      return [name, { type: "hyperdrive", id: binding.id, dev: { connectionString: databaseUrl } }];
    }
    const conversion = CONVERSIONS[binding.type];
    if (!conversion) throw new Failure(`[env.${env}]: the local runtime has no binding of type ${binding.type} (${name}).`);
    return [name, conversion(binding)];
  };
  return Object.fromEntries(Object.entries(declared).map(convert));
}

/** A variable is text, or JSON of any other type. */
export const variable = (value) => ({ type: typeof value === "string" ? "text" : "json", value });

/** The bindings of one type, as [name, binding]. */
export function bindingsOf(bindings, type) {
  return Object.entries(bindings).filter(([, binding]) => binding.type === type);
}
