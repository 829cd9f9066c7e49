"""A small pitch writer on OpenAI and Anthropic: `python demo_app.py pitch|summary|search|agent`."""

import sys

import anthropic
import openai

NOTES = "Reusable bottles for hikers: light, kept cold for a day, repaired for free."
RECORDING = ("customer-interview.wav", bytes(16_000))

gpt = openai.OpenAI()
claude = anthropic.Anthropic()


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def pitch() -> None:
    """Draft a pitch, polish it against the house style (which is cached), and read it aloud."""
    draft = gpt.chat.completions.create(model="gpt-4o", messages=ask(f"Write a pitch. Notes: {NOTES}"))
    text = draft.choices[0].message.content
    style = [{"type": "text", "text": "Our house style ...", "cache_control": {"type": "ephemeral"}}]
    with claude.messages.stream(
        model="claude-sonnet-4-6", max_tokens=2000, system=style, messages=ask(f"Polish this: {text}")
    ) as stream:
        polished = "".join(stream.text_stream)
    spoken = gpt.audio.speech.create(model="tts-1-hd", voice="alloy", input=polished)
    print(f"pitch: {len(polished)} characters, {len(spoken.content)} bytes of audio")


def summary() -> None:
    """Sum up an interview, and stream three questions to ask next time."""
    interview = gpt.audio.transcriptions.create(model="whisper-1", file=RECORDING)
    points = gpt.responses.create(model="gpt-4o-mini", input=f"Sum this up: {interview.text}")
    questions = ""
    for chunk in gpt.chat.completions.create(
        model="gpt-4o-mini",
        messages=ask(f"Three questions about: {points.output_text}"),
        stream=True,
        stream_options={"include_usage": True},
    ):
        questions += chunk.choices[0].delta.content or "" if chunk.choices else ""
    print(f"summary: {len(points.output_text)} characters, questions: {len(questions)} characters")


def search() -> None:
    """Find the notes that matter for a question, answer it, and suggest what else to look for."""
    vectors = gpt.embeddings.create(model="text-embedding-3-small", input=[NOTES, "Who repairs the bottles?"])
    answer = claude.messages.create(
        model="claude-haiku-4-5", max_tokens=500, messages=ask(f"Who repairs the bottles? {NOTES}")
    )
    stream = gpt.chat.completions.create(model="gpt-4.1-mini", messages=ask("Suggest related searches."), stream=True)
    related = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    print(f"search: {len(vectors.data)} vectors, {len(answer.content[0].text)} + {len(related)} characters")


def agent() -> None:
    """Look for the perfect claim, and never be content with one: a loop that somebody has to stop."""
    claims = 0
    try:
        while True:
            gpt.chat.completions.create(model="gpt-4o", max_tokens=2000, messages=ask("A better claim, please."))
            claims += 1
    except Exception as error:  # noqa: BLE001
        print(f"agent: stopped after {claims} claims: {error}")


if __name__ == "__main__":
    {"pitch": pitch, "summary": summary, "search": search, "agent": agent}[sys.argv[1]]()
