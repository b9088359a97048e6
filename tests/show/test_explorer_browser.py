"""The explorer in a real browser: what a reader does, and what the page then shows, against the tables."""

import io
import json
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image

from bumpscope.measure.metrics import OUTCOMES
from bumpscope.show.explorer import page
from bumpscope.show.manifold_view import manifold_view
from bumpscope.store.results import Results
from bumpscope.store.tables import write_table
from explorer_results import FEW_STEPS, add_worlds, write_explored
from synthetic_results import BALANCED, METADATA, TIMES

# Those that look at one control each are slow; the others see that the page works.
pytestmark = [pytest.mark.browser]

# Where tests start that do not look at how the page opens.
START = "dataset=balanced&seed=0&layer=down3&t=239&step=1500"
DATASETS = {"balanced": BALANCED, "torus & <co>": {**BALANCED, "boundary": "torus"}}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return write_explored(tmp_path_factory.mktemp("explored"), datasets=DATASETS, seeds=(0, 1))


@pytest.fixture(scope="module")
def file(results):
    path = results.folder / "explorer.html"
    with path.open("w", encoding="utf-8") as file:
        page.write(results, file)
    return path


@pytest.fixture(scope="module")
def partly(tmp_path_factory):
    """A page of two runs, one embedded at its first two checkpoints alone, one not at all, and two of other worlds."""
    results = write_explored(tmp_path_factory.mktemp("partly"), datasets={"balanced": BALANCED}, seeds=(0, 1))
    results["balanced-seed1"].path("embedding").unlink()
    table = results["balanced-seed0"].table("embedding")
    some = table[table["step"] <= FEW_STEPS[1]]
    write_table("embedding", results["balanced-seed0"].path("embedding"), some, METADATA)
    path = results.folder / "explorer.html"
    with path.open("w", encoding="utf-8") as file:
        page.write(add_worlds(results.folder), file)
    return path


class Explorer:
    """The page as a reader has it before the eyes: at START with what ``fragment`` changes, or opened without any."""

    def __init__(self, visit, file, fragment: str | None = "#", **look):
        fragment = "" if fragment is None else f"#{START}&{fragment[1:]}"
        self.visit = visit(file, fragment=fragment, **look)
        self.page = self.visit.page
        self.settle()

    def settle(self):
        """Wait until what the address asks for is drawn, images included."""
        self.page.wait_for_function(
            """() => {
                const { shown, images } = document.documentElement.dataset;
                return shown && images && shown === location.hash;
            }"""
        )
        self.page.wait_for_function("document.getElementById('manifold')._fullLayout")
        return self

    @property
    def state(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(self.page.url.partition("#")[2]).items()}

    def select(self, name, value):
        self.visit.log(f"select {name} {value}")
        self.page.select_option(f"select[name={name}]", str(value))
        return self.settle()

    def slide(self, k):
        """Drag the handle of the slider with the mouse to checkpoint number k."""
        box = self.page.locator("#step").bounding_box()
        last, now = (int(self.page.get_attribute("#step", "max")), int(self.page.input_value("#step")))
        at = [box["x"] + 10 + (box["width"] - 20) * place / last for place in (now, k)]
        middle = box["y"] + box["height"] / 2
        self.visit.log(f"drag the slider from checkpoint {now} to {k}")
        self.page.mouse.move(at[0], middle)
        self.page.mouse.down()
        self.page.mouse.move(at[1], middle, steps=4)
        self.page.mouse.up()
        return self.settle()

    def points(self) -> np.ndarray:
        trace = self.page.evaluate("(({x, y, z}) => [x, y, z])(document.getElementById('manifold').data[0])")
        return np.array(trace, dtype=float).T

    def marks(self, key):
        return self.page.evaluate(f"document.getElementById('manifold').data[0].marker.{key}")

    def on_screen(self, i) -> tuple[float, float]:
        """Where point number i is drawn, px of the window."""
        x, y = self.page.evaluate(
            """(i) => {
                const element = document.getElementById('manifold');
                const { glplot, dataScale } = element._fullLayout.scene._scene;
                const { model, view, projection } = glplot.cameraParams;
                const { x, y, z } = element.data[0];
                const times = (m, v) => [0, 1, 2, 3].map((r) => v.reduce((sum, one, c) => sum + m[4 * c + r] * one, 0));
                const scaled = [x[i] * dataScale[0], y[i] * dataScale[1], z[i] * dataScale[2], 1];
                const clip = times(projection, times(view, times(model, scaled)));
                const box = element.getBoundingClientRect();
                const [across, down] = [1 + clip[0] / clip[3], 1 - clip[1] / clip[3]];
                return [box.x + (box.width * across) / 2, box.y + (box.height * down) / 2];
            }""",
            i,
        )
        return x, y

    def readout(self) -> dict[str, str]:
        return {
            name.strip(): value.strip()
            for name, value in self.page.evaluate(
                """[...document.querySelectorAll('#readout tr')]
                    .map((row) => [...row.cells].map((cell) => cell.textContent))"""
            )
        }

    def cursor(self) -> float:
        return self.page.evaluate("document.getElementById('cursor').getBoundingClientRect().x")

    def grid(self) -> np.ndarray:
        """The canvas of images, shape (height, width, 4)."""
        pixels = self.page.evaluate(
            """() => {
                const { width, height } = document.querySelector('#images canvas');
                const context = document.querySelector('#images canvas').getContext('2d');
                return [width, ...context.getImageData(0, 0, width, height).data];
            }"""
        )
        return np.array(pixels[1:], np.uint8).reshape(-1, pixels[0], 4)

    def everything(self) -> list[str]:
        """What moves with the step, as text."""
        seen = [self.points().tolist(), self.readout(), self.cursor(), self.grid().tobytes().hex()]
        return [json.dumps(one) for one in seen]


def shares(results, run, step):
    table = results[run].table("behaviour")
    rows = table[(table["step"] == step) & (table["split"] == "seen")]
    return {outcome: f"{100 * (rows['outcome'] == outcome).mean():.0f}%" for outcome in OUTCOMES}


def test_it_opens_with_the_reports_first_picture_when_its_latents_are_first_ordered(visit, file, results):
    seen = Explorer(visit, file, None)
    view = manifold_view(results)
    phases = view.run.table("phases", layer=view.layer, t=view.t).sort_values("step")
    step = phases.loc[phases["latent_phase"] == "C", "step"].iloc[0]
    assert step < FEW_STEPS[-1]
    assert seen.state == {
        "dataset": "balanced", "seed": str(view.run.seed), "layer": view.layer, "t": str(view.t), "step": str(step),
        "embedding": "pca", "colour": "x", "axes": "fixed",
    }  # fmt: skip
    assert len(seen.points()) == 60
    assert {outcome: seen.readout()[outcome] for outcome in OUTCOMES} == shares(results, view.run.name, step)
    assert seen.page.is_hidden("#note")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["mouse", "keys"])
def test_the_slider_moves_everything_together(visit, file, results, how):
    seen = Explorer(visit, file)
    before = seen.everything()
    if how == "mouse":
        seen.slide(1)
    else:
        seen.page.focus("#step")
        seen.visit.press("Home")
        seen.settle()
        assert seen.state["step"] == "0"
        seen.visit.press("ArrowRight")
        seen.settle()
    assert seen.state["step"] == "400"
    after = seen.everything()
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert {outcome: seen.readout()[outcome] for outcome in OUTCOMES} == shares(results, "balanced-seed0", 400)
    phases = results["balanced-seed0"].table("phases", judged=True).set_index("step")
    assert seen.readout()["latent"] == phases.loc[400, "latent_phase"]
    assert seen.readout()["behaviour"] == phases.loc[400, "behaviour_phase"]
    effects = results["balanced-seed0"].table("effects")
    effects = effects[(effects["weights"] == "raw") & (effects["t"] == 450)].set_index("step")
    assert seen.readout()["effect of x"] == f"{effects.loc[400, 'effect_x']:.2f}"
    # The cursor stands where the step is on the curves' own axis.
    place = seen.page.evaluate(
        """() => { const curves = document.getElementById('curves'); const axis = curves._fullLayout.xaxis;
            return curves.getBoundingClientRect().x + axis._offset + axis.l2p(400); }"""
    )
    assert seen.cursor() == pytest.approx(place, abs=1.5)
    seen.page.wait_for_function("document.getElementById('spoken').textContent.startsWith('Step 400.')")
    assert f"correct {shares(results, 'balanced-seed0', 400)['correct']}" in seen.page.text_content("#spoken")


def test_the_points_are_the_tables_and_axes_stay(visit, file, results):
    seen = Explorer(visit, file)
    ranges = seen.page.evaluate("document.getElementById('manifold').layout.scene.xaxis.range")
    table = results["balanced-seed0"].table("embedding")
    for k, step in enumerate(FEW_STEPS):
        if k < len(FEW_STEPS) - 1:
            seen.slide(k)
        rows = table[(table["layer"] == "down3") & (table["t"] == 239) & (table["step"] == (step if k < 3 else 1500))]
        cloud = rows.sort_values("sample")[[f"aligned_{axis}" for axis in (1, 2, 3)]].to_numpy()
        if k == 3:
            seen.slide(3)
        np.testing.assert_allclose(seen.points(), cloud - cloud.mean(axis=0), atol=2e-3)
        assert seen.page.evaluate("document.getElementById('manifold').layout.scene.xaxis.range") == ranges


@pytest.mark.slow
def test_every_selector_changes_what_is_shown(visit, file, results):
    seen = Explorer(visit, file)
    first = seen.points()
    assert not np.allclose(seen.select("seed", 1).points(), first)
    table = results["balanced-seed1"].table("embedding")
    seen.select("layer", "up1").select("t", TIMES[1])
    rows = table[(table["layer"] == "up1") & (table["t"] == TIMES[1]) & (table["step"] == 1500)].sort_values("sample")
    cloud = rows[["aligned_1", "aligned_2", "aligned_3"]].to_numpy()
    np.testing.assert_allclose(seen.points(), cloud - cloud.mean(axis=0), atol=2e-3)
    seen.select("embedding", "umap")
    assert seen.page.evaluate("document.getElementById('manifold').layout.scene.xaxis.title.text") == "UMAP 1"
    by_x = seen.marks("color")
    by_y = seen.select("colour", "y").marks("color")
    assert by_x != by_y
    behaviour = results["balanced-seed1"].table("behaviour")
    outcomes = behaviour[behaviour["step"] == 1500].sort_values("sample")["outcome"].tolist()
    colours = seen.select("colour", "outcome").marks("color")
    assert len(set(zip(outcomes, colours, strict=True))) == len(set(outcomes)) == len(set(colours))
    seen.select("colour", "distance")
    assert "px" in seen.page.text_content("#legend")
    fixed = seen.page.evaluate("document.getElementById('manifold').layout.scene.xaxis.range")
    seen.slide(0).select("axes", "fitted")
    assert seen.page.evaluate("document.getElementById('manifold').layout.scene.xaxis.range") != fixed
    seen.select("dataset", "torus & <co>")
    assert seen.state["dataset"] == "torus & <co>"
    assert {outcome: seen.readout()[outcome] for outcome in OUTCOMES} == shares(results, "torus & <co>-seed1", 0)


def test_choices_and_words_are_those_of_the_factors(visit, partly):
    seen = Explorer(visit, partly, "#dataset=sized&step=0&sample=7&colour=distance_size")
    assert seen.page.is_hidden("#note") and seen.page.is_hidden("#drawn .ring")
    assert seen.state["colour"] == "distance_size"
    options = "[...document.querySelector('select[name=colour]').options].map((one) => one.value)"
    assert seen.page.evaluate(options) == ["x", "size", "outcome", "distance", "distance_size"]
    rows = Results(partly.parent)["sized-seed0"].table("behaviour", step=0).sort_values("sample", ignore_index=True)
    row, said = rows.loc[7], seen.page.inner_text("#sample")
    away = abs(np.log(row["size"] / row["mu_size"]))
    assert f"x {row['mu_x']:.1f} px, size {row['mu_size']:.3g} px" in said
    assert f"x {row['x']:.1f} px, {row['error']:.2f} px away; size {row['size']:.3g} px, {away:.2f} ln away" in said
    assert f"misplaced in {row['misses'].replace(',', ' and ')}" in said
    # Nine sizes are evenly spaced in their logarithms, and so are their colours.
    palette = json.loads(seen.page.inner_html("#index"))["scales"]["place"]
    shares = np.log(rows["mu_size"] / rows["mu_size"].min()) / np.log(3) * 9 / 8
    stops = [palette[round(32 * share)] for share in shares]
    colours = [f"rgb({int(stop[1:3], 16)},{int(stop[3:5], 16)},{int(stop[5:], 16)})" for stop in stops]
    assert seen.select("colour", "size").marks("color") == colours
    assert "logarithmic scale" in seen.page.inner_text("#legend")
    seen.select("dataset", "solid")
    assert seen.state["colour"] == "size"
    assert seen.page.is_visible("#drawn .ring")
    assert seen.readout()["effect of x and size"] == "0.00"
    seen.select("dataset", "balanced")
    assert seen.state["colour"] == "x"
    assert seen.page.evaluate(options) == ["x", "y", "outcome", "distance"]


@pytest.mark.slow
def test_a_colour_means_the_same_at_every_step(visit, file, results):
    seen = Explorer(visit, file)
    for colour in ("x", "y"):
        marks = seen.select("colour", colour).marks("color")
        assert seen.slide(0).marks("color") == marks
        seen.slide(3)
    table = results["balanced-seed0"].table("behaviour", filters=[("step", "==", 400)]).sort_values("sample")
    palette = json.loads(seen.page.inner_html("#index"))["outcomes"]
    seen.select("colour", "outcome").slide(1)
    assert seen.marks("color") == [palette[outcome] for outcome in table["outcome"]]
    # A shape each, of those that are drawn alike whatever fonts there are.
    shapes = dict(zip(table["outcome"], seen.marks("symbol"), strict=True))
    assert len(set(shapes.values())) == len(shapes) > 1
    assert set(shapes.values()) <= {"circle", "circle-open", "square", "diamond"}
    for words in ("no bump", "several bumps", "one bump, wrong place", "one bump, right place"):
        assert words in seen.page.inner_text("#legend")


@pytest.mark.slow
def test_fitted_axes_reach_just_over_the_points_of_each_step(visit, file):
    seen = Explorer(visit, file, "#axes=fitted")
    for k in (3, 0):
        seen.slide(k)
        for axis in "xyz":
            low, high = seen.page.evaluate(f"document.getElementById('manifold')._fullLayout.scene.{axis}axis.range")
            assert -low == high == pytest.approx(1.08 * np.abs(seen.points()).max(), rel=1e-6)


@pytest.mark.slow
def test_the_curves_have_their_cursor_under_the_numbers_of_their_axis_and_take_the_step(visit, file):
    seen = Explorer(visit, file, "#step=400")
    ticks = {}
    for tick in seen.page.locator("#curves .xtick text").all():
        if (box := tick.bounding_box()) is not None:  # hidden ones are of axes that share the steps
            ticks[int(str(tick.text_content()))] = box["x"] + box["width"] / 2
    low, high = min(ticks), max(ticks)
    assert high > low

    def place(step):
        return ticks[low] + (ticks[high] - ticks[low]) * (step - low) / (high - low)

    assert seen.cursor() + 1 == pytest.approx(place(400), abs=2)
    frame = seen.page.locator("#curves").bounding_box()
    seen.visit.log("press on the curves")
    seen.page.mouse.click(place(830), frame["y"] + 60)
    assert seen.settle().state["step"] == "800"  # the nearest


@pytest.mark.slow
def test_pointing_at_a_dot_shows_its_image(visit, file, results):
    seen = Explorer(visit, file)
    seen.visit.log("hover over a dot")
    x, y = seen.on_screen(17)
    seen.page.mouse.move(x - 20, y)
    seen.page.mouse.move(x, y, steps=4)
    seen.page.wait_for_selector("#tip", state="visible")
    found = seen.page.text_content("#sample")
    sample = int(found.partition("sample")[2].partition(",")[0])
    table = results["balanced-seed0"].table("behaviour")
    row = table[(table["step"] == 1500) & (table["sample"] == sample)].iloc[0]
    assert f"({row['mu_x']:.1f}, {row['mu_y']:.1f})" in seen.page.text_content("#tip")
    assert row["outcome"] in seen.page.text_content("#tip")
    picture = seen.page.locator("#sample canvas").evaluate(
        "(canvas) => [canvas.width, ...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.width).data]"
    )
    drawn = np.array(picture[1:], float).reshape(picture[0], picture[0], 4)
    images = results["balanced-seed0"].block("samples", "image", [("step", "==", 1500), ("sample", "==", sample)])
    image = images.reshape(16, 16).clip(0, 1) * 255
    middles = ((np.arange(16) + 0.5) * picture[0] / 16).astype(int)
    shown = drawn[np.ix_(middles, middles)]
    plain = (shown[..., 0] == shown[..., 1]) & (shown[..., 1] == shown[..., 2])  # neither ring nor cross over it
    assert plain.sum() > 150
    assert np.abs(shown[..., 0] - image)[plain].max() <= 3


@pytest.mark.slow
def test_a_chosen_sample_is_followed_through_the_steps(visit, file, results):
    seen = Explorer(visit, file)
    seen.page.focus("#images button[tabindex='0']")
    seen.visit.press("ArrowRight")
    seen.visit.press("Enter")
    seen.settle()
    sample = int(seen.state["sample"])
    table = results["balanced-seed0"].table("behaviour").set_index(["step", "sample"])
    seen.page.focus("#step")
    for step in (1500, 800):
        assert table.loc[(step, sample), "outcome"] in seen.page.text_content("#sample")
        # The larger open circle is on the sample's own point.
        chosen = seen.page.evaluate("(({x}) => x)(document.getElementById('manifold').data[1])")
        assert chosen == [seen.points()[sample, 0]]
        seen.visit.press("ArrowLeft")
        seen.settle()


@pytest.mark.slow
def test_playing_goes_to_the_end_and_stops(visit, file):
    seen = Explorer(visit, file, "#step=0")
    seen.page.focus("body")
    seen.visit.press(" ")
    seen.page.wait_for_function("document.getElementById('play').getAttribute('aria-pressed') === 'true'")
    seen.page.wait_for_function("document.getElementById('play').getAttribute('aria-pressed') === 'false'")
    assert seen.settle().state["step"] == "1500"


@pytest.mark.slow
def test_less_motion_plays_slower(visit, file):
    seen = Explorer(visit, file, "#step=0")
    pauses = {}
    for wish in ("no-preference", "reduce"):
        seen.page.emulate_media(reduced_motion=wish)
        pauses[wish] = seen.page.evaluate(
            """async () => {
                const [start, before] = [performance.now(), location.hash];
                document.getElementById('play').click();
                while (location.hash === before) await new Promise((done) => setTimeout(done, 10));
                document.getElementById('play').click();
                return performance.now() - start;
            }"""
        )
    assert pauses["reduce"] > 1.4 * pauses["no-preference"]


@pytest.mark.slow
def test_a_turned_cloud_goes_back_to_the_first_view(visit, file):
    seen = Explorer(visit, file)
    eye = "document.getElementById('manifold').layout.scene.camera.eye"
    first = seen.page.evaluate(eye)
    for undo in ("button", "key"):
        seen.page.focus("#manifold")
        for key in ("ArrowUp", "ArrowRight", "-"):
            seen.visit.press(key)
        seen.page.wait_for_function("location.hash.includes('camera=')")
        assert seen.settle().page.evaluate(eye) != first
        seen.visit.click("#reset") if undo == "button" else seen.visit.press("0")
        seen.page.wait_for_function("!location.hash.includes('camera=')")
        assert seen.settle().page.evaluate(eye) == pytest.approx(first, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["key", "wheel"])
def test_coming_nearer_makes_the_cloud_larger_and_is_kept_in_the_address(visit, file, how):
    seen = Explorer(visit, file)

    def size(one):
        return np.ptp([one.on_screen(i) for i in range(60)], axis=0).max()

    first = size(seen)
    if how == "key":
        seen.page.focus("#manifold")
        seen.visit.press("+", times=3)
    else:
        box = seen.page.locator("#manifold").bounding_box()
        seen.page.mouse.move(box["x"] + 10, box["y"] + 60)
        for _ in range(3):
            seen.page.mouse.wheel(0, -100)
            seen.page.wait_for_timeout(100)
    seen.page.wait_for_function("location.hash.includes('camera=')")
    seen.page.wait_for_timeout(300)
    larger = size(seen.settle())
    assert larger > 1.2 * first
    again = Explorer(visit, file, "#" + seen.page.url.partition("#")[2])
    assert size(again) == pytest.approx(larger, rel=0.02)
    again.visit.click("#reset")
    again.page.wait_for_function("!location.hash.includes('camera=')")
    assert size(again.settle()) == pytest.approx(first, rel=0.01)


@pytest.mark.slow
def test_a_run_without_latents_shows_the_rest(visit, partly):
    seen = Explorer(visit, partly, "#seed=1&step=800")
    assert "No latents" in seen.page.inner_text("#missing")
    assert seen.page.is_disabled("select[name=layer]")
    assert seen.points().size == 0
    assert seen.page.locator("#images button").count() > 1
    assert seen.grid()[..., :3].std() > 10
    assert seen.readout()["latent"] in "ABC?"
    seen.select("seed", 0).slide(0)
    assert seen.page.is_hidden("#missing")
    assert len(seen.points()) == 60


@pytest.mark.slow
def test_a_step_without_latents_says_so(visit, partly):
    seen = Explorer(visit, partly, "#seed=0&step=1500")
    assert "There is no PCA" in seen.page.inner_text("#missing")
    assert seen.points().size == 0
    seen.slide(1)
    assert seen.page.is_hidden("#missing")
    assert len(seen.points()) == 60


@pytest.mark.slow
def test_plots_follow_the_colour_scheme(visit, file):
    seen = Explorer(visit, file)
    inks = """[getComputedStyle(document.body).backgroundColor,
        document.getElementById('curves').layout.annotations[0].font.color,
        document.getElementById('manifold').layout.scene.xaxis.gridcolor]"""
    light = seen.page.evaluate(inks)
    seen.visit.show(scheme="dark")
    seen.page.wait_for_function(f"{inks}.every((ink, k) => ink !== {light}[k])")


def test_an_address_brings_back_the_view_and_history_goes_back(visit, file):
    seen = Explorer(visit, file)
    seen.select("seed", 1).select("colour", "outcome").slide(2)
    seen.page.focus("#manifold")
    seen.visit.press("ArrowLeft")
    seen.settle()
    assert "camera" in seen.state
    shared, view = seen.page.url, seen.everything()
    camera = seen.page.evaluate("document.getElementById('manifold').layout.scene.camera.eye")
    again = Explorer(visit, file, "#" + shared.partition("#")[2])
    assert again.state == seen.state
    assert again.everything() == view
    turned = again.page.evaluate("document.getElementById('manifold').layout.scene.camera.eye")
    assert turned == pytest.approx(camera, abs=0.01)
    seen.select("dataset", "torus & <co>")
    seen.visit.log("go back")
    seen.page.go_back()
    assert seen.settle().state["dataset"] == "balanced"


@pytest.mark.slow
def test_what_is_shown_is_told_without_leaving_the_view(visit, file):
    seen = Explorer(visit, file)
    whole = seen.page.url
    seen.visit.click("#to-about")
    assert seen.page.url == whole
    assert seen.page.evaluate("document.activeElement.id") == "about"
    assert "4 of 4 runs, each of them whole." in seen.page.text_content("#subset")


@pytest.mark.slow
def test_a_click_on_a_dot_chooses_it(visit, file):
    seen = Explorer(visit, file)
    x, y = seen.on_screen(17)
    seen.visit.log("click a dot")
    seen.page.mouse.move(x - 20, y)
    seen.page.mouse.move(x, y, steps=4)
    seen.page.wait_for_selector("#tip", state="visible")
    told = seen.page.text_content("#sample")
    seen.page.mouse.click(x, y)
    assert int(seen.settle().state["sample"]) == int(told.partition("sample")[2].partition(",")[0])


@pytest.mark.slow
def test_an_address_that_asks_for_what_is_shown_already_is_written_out(visit, file):
    seen = Explorer(visit, file)
    whole = seen.page.url
    seen.page.evaluate("location.hash = '#dataset=balanced&seed=0'")
    assert seen.settle().page.url == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("#dataset=nonsense", "there is no dataset nonsense here, shown: balanced"),
        ("#step=401", "there is no step 401 here, shown: 400"),
        ("#colour=plaid&seed=1", "there is no colour plaid here"),
        ("#camera=1,2", "is not six numbers"),
        ("#what=ever", "is not something to choose"),
        ("#dataset=%E0%A4%A", "is not something to choose"),
        ("#sample=999999", "there is no sample 999999 here"),
    ],
)
def test_an_address_that_asks_for_what_is_not_there_says_so(visit, file, address, complaint):
    seen = Explorer(visit, file, address)
    assert complaint in seen.page.text_content("#note")
    assert len(seen.points()) == 60


@pytest.mark.slow
def test_every_control_can_be_reached_by_tab_and_has_a_name(visit, file):
    seen = Explorer(visit, file)
    reached = []
    for _ in range(25):
        seen.page.keyboard.press("Tab")
        reached.append(seen.page.evaluate("(({name, id, tagName}) => name || id || tagName)(document.activeElement)"))
    wanted = {"dataset", "seed", "layer", "t", "embedding", "colour", "axes", "manifold", "reset", "play", "step"}
    wanted.add("BUTTON")  # of the grid of images
    assert wanted <= set(reached)
    nameless = seen.page.evaluate(
        """[...document.querySelectorAll('button, select, input, a, [tabindex]')].filter((one) => one.checkVisibility()
            && !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim()))
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.slow
def test_it_fits_a_phone_and_pictures_are_kept(visit, file):
    seen = Explorer(visit, file, size="phone")
    assert seen.visit.overflow() == 0
    slider = seen.page.locator("#step").bounding_box()
    assert slider["y"] + slider["height"] <= 844  # at hand without scrolling
    # Latents and images are seen together, and an image is large enough to be looked at.
    for part in ("#latents > #scene", "#images > canvas"):
        box = seen.page.locator(part).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= slider["y"]
    assert seen.page.locator("#images button").first.bounding_box()["width"] >= 64
    kept = seen.visit.portraits("explorer")
    pictures = [np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L"), float) for path in kept]
    assert all(picture.std() > 10 for picture in pictures)
    assert all(light.mean() > dark.mean() + 50 for light, dark in zip(pictures[::2], pictures[1::2], strict=True))
    assert seen.visit.overflow() == 0
