"""The table's part on recordings."""

from __future__ import annotations

from services.conference.commands import StartRecording
from services.conference.model import OutputMode, RecordingOptions
from tests.integration.api.conftest import Answer

from .operations import RECORDING_PATH
from .situations import answers
from .world import INDIVIDUAL, World

START = "POST /recordings/start"
STOP = "POST /recordings/stop/<RECORDING_ID>"
GET = f"GET {RECORDING_PATH}"
LIST = "GET /recordings"
DELETE = f"DELETE {RECORDING_PATH}"


async def start(world: World, **body: object) -> Answer:
    return await world.api.post("/recordings/start", {"session": "salon", **body})


async def starting(world: World) -> None:
    await world.salon()
    await world.person()
    options = RecordingOptions(output_mode=OutputMode.INDIVIDUAL)
    await world.room.act("salon", StartRecording(options))
    await world.api.until("/recordings/salon", lambda found: True)


@answers(START, 200)
async def a_start(world: World) -> Answer:
    await world.salon()
    await world.person()
    async with world.recorder():
        return await start(world, **INDIVIDUAL)


@answers(START, 400)
async def a_start_without_a_session(world: World) -> Answer:
    return await world.api.post("/recordings/start", INDIVIDUAL)


@answers(START, 400)
async def a_start_with_a_bad_mode(world: World) -> Answer:
    await world.salon()
    await world.person()
    return await start(world, outputMode="BOTH")


@answers(START, 422)
async def a_resolution_too_small(world: World) -> Answer:
    await world.salon()
    await world.person()
    return await start(world, resolution="99x100")


@answers(START, 422)
async def a_frame_rate_of_nothing(world: World) -> Answer:
    await world.salon()
    await world.person()
    return await start(world, frameRate=0)


@answers(START, 422)
async def neither_audio_nor_video(world: World) -> Answer:
    await world.salon()
    await world.person()
    return await start(world, hasAudio=False, hasVideo=False)


@answers(START, 404)
async def a_start_in_no_session(world: World) -> Answer:
    return await start(world, **INDIVIDUAL)


@answers(START, 406)
async def a_start_without_people(world: World) -> Answer:
    await world.salon()
    return await start(world, **INDIVIDUAL)


@answers(START, 409)
async def a_start_in_a_relayed_session(world: World) -> Answer:
    await world.salon(mediaMode="RELAYED")
    await world.person()
    return await start(world, **INDIVIDUAL)


@answers(START, 409)
async def a_second_start(world: World) -> Answer:
    await world.recording()
    return await start(world, **INDIVIDUAL)


@answers(START, 501, recording_off=True)
async def a_start_without_the_module(world: World) -> Answer:
    await world.salon()
    await world.person()
    return await start(world, **INDIVIDUAL)


@answers(STOP, 200)
async def a_stop(world: World) -> Answer:
    return await world.api.post(f"/recordings/stop/{await world.recording()}")


@answers(STOP, 404)
async def a_stop_of_nothing(world: World) -> Answer:
    return await world.api.post("/recordings/stop/salon")


@answers(STOP, 404)
async def a_second_stop(world: World) -> Answer:
    recording = await world.recording()
    await world.api.post(f"/recordings/stop/{recording}")
    return await world.api.post(f"/recordings/stop/{recording}")


@answers(STOP, 406)
async def a_stop_while_it_starts(world: World) -> Answer:
    await starting(world)
    return await world.api.post("/recordings/stop/salon")


@answers(STOP, 501, recording_off=True)
async def a_stop_without_the_module(world: World) -> Answer:
    return await world.api.post("/recordings/stop/salon")


@answers(GET, 200)
async def a_recording(world: World) -> Answer:
    return await world.api.get(f"/recordings/{await world.recording()}")


@answers(GET, 404)
async def no_such_recording(world: World) -> Answer:
    return await world.api.get("/recordings/salon")


@answers(GET, 501, recording_off=True)
async def a_recording_without_the_module(world: World) -> Answer:
    return await world.api.get("/recordings/salon")


@answers(LIST, 200)
async def one_recording(world: World) -> Answer:
    await world.recording()
    return await world.api.get("/recordings")


@answers(LIST, 501, recording_off=True)
async def recordings_without_the_module(world: World) -> Answer:
    return await world.api.get("/recordings")


@answers(DELETE, 204)
async def a_finished_recording(world: World) -> Answer:
    recording = await world.recording()
    await world.room.finish("salon", recording)
    return await world.api.delete(f"/recordings/{recording}")


@answers(DELETE, 404)
async def no_recording(world: World) -> Answer:
    return await world.api.delete("/recordings/salon")


@answers(DELETE, 409)
async def a_running_recording(world: World) -> Answer:
    return await world.api.delete(f"/recordings/{await world.recording()}")


@answers(DELETE, 409)
async def a_starting_recording(world: World) -> Answer:
    await starting(world)
    return await world.api.delete("/recordings/salon")


@answers(DELETE, 501, recording_off=True)
async def a_deletion_without_the_module(world: World) -> Answer:
    return await world.api.delete("/recordings/salon")
