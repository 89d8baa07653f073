// The AWS SDK for JavaScript as it comes: bedrock-runtime over its default HTTP/2 handler.
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime";
import { BedrockClient, ListFoundationModelsCommand } from "@aws-sdk/client-bedrock";

const modelId = "outcrop.house-nano-v1:0";
const messages = [{ role: "user", content: [{ text: "What is Outcrop?" }] }];
const inferenceConfig = { maxTokens: 40, temperature: 0 };

const models = await new BedrockClient({}).send(new ListFoundationModelsCommand({}));
const runtime = new BedrockRuntimeClient({ maxAttempts: 1 });
const answer = await runtime.send(new ConverseCommand({ modelId, messages, inferenceConfig }));
const stream = await runtime.send(new ConverseStreamCommand({ modelId, messages, inferenceConfig }));
let text = "";
let usage;
for await (const event of stream.stream) {
  text += event.contentBlockDelta?.delta?.text ?? "";
  usage ??= event.metadata?.usage;
}
let error;
try {
  await runtime.send(new ConverseCommand({ modelId: "nobody.nothing-v1:0", messages }));
} catch (caught) {
  error = { name: caught.name, status: caught.$metadata.httpStatusCode };
}
console.log(JSON.stringify({
  models: models.modelSummaries.map((model) => model.modelId),
  handler: runtime.config.requestHandler.constructor.name,
  answer: answer.output.message.content[0].text,
  text,
  usage,
  error,
}));
runtime.destroy();
