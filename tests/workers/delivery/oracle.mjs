// Answers lines of JSON with lines of JSON: what Handlebars makes of a template, and how many
// segments Twilio's calculator counts.
import { createInterface } from "node:readline";
import Handlebars from "handlebars";
import segments from "sms-segments-calculator";

const OPTIONS = { compat: true, ignoreStandalone: true };

const answers = {
  render: ({ template, names }) => Handlebars.compile(template, OPTIONS)(names),
  segments: ({ text }) => {
    const message = new segments.SegmentedMessage(text);
    return [message.encodingName, message.segmentsCount];
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { name, ...input } = JSON.parse(line);
  let answer;
  try {
    answer = { result: answers[name](input) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
