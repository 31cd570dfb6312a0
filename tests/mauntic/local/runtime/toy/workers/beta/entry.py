from shared import seen
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request, env, ctx):
        return Response.json(seen.batches)

    async def queue(self, batch, env=None, ctx=None):
        seen.batches.append({"bodies": [message.body for message in batch.messages]})
        batch.ackAll()
