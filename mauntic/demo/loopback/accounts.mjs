// Makes the keys of a new customer of the providers, and encrypts configurations as the platform stores them.
// Reads {key, configs} from its input; writes {keys, configs}. `make demo` needs no package for cryptography.
import { createCipheriv, generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

const asked = JSON.parse(readFileSync(0, "utf8"));

function serviceAccount() {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    client_email: "sender@demo.iam.example",
    private_key_id: "demo",
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
    public_key: publicKey.export({ format: "jwk" }),
  };
}

/** A P-256 key as raw bytes in base64url: the point, and the number. */
function curveKey() {
  const { x, y, d } = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
  const bytes = [Buffer.from([4]), ...[x, y].map((part) => Buffer.from(part, "base64url"))];
  return { public: Buffer.concat(bytes).toString("base64url"), private: d };
}

function encrypted(config) {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", Buffer.from(asked.key, "hex"), nonce);
  const text = Buffer.concat([cipher.update(JSON.stringify(config)), cipher.final(), cipher.getAuthTag()]);
  return `${nonce.toString("base64")}:${text.toString("base64")}`;
}

const made = asked.configs ? { configs: asked.configs.map(encrypted) } : {
  serviceAccount: serviceAccount(),
  vapid: curveKey(),
  device: { ...curveKey(), auth: randomBytes(16).toString("base64url") },
};
process.stdout.write(JSON.stringify(made));
