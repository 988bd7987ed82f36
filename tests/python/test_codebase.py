"""The house rules that no compiler checks: what may include what, what is public, what lies where."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import types
from collections.abc import Iterator
from pathlib import Path

import osthread
import pytest

ROOT = Path(__file__).resolve().parents[2]

# On which floor of the house each file of the core lives, by its name without the platform's suffix. A file
# includes what is on its own floor or below. A new file gets its floor here.
FLOORS = {
    0: "export version native_thread native_thread_os waiter error deadline fork cpu_time standard_output "
    "shared_object stack_bounds stack_room c_stack program_counter asymmetric_fence adaptive_spin wait_list wait_note "
    "wait_lines notifier spare_blocks",
    1: "cpuid unwind call callback leaving memory memory_error landing safe_point counted_call lua_headers "
    "memory_account "
    "registry_slots state_end memory_quota thread_budget vm frames interrupt stack_guard run open_files commands stdio "
    "stdio_bundled stop chained_handler run_slot run_leaving run_host "
    "blocking",
    2: "value lua_value lua_call lua_reader lua_writer lua_cdata lua_object library_names builtins finalizer_errors "
    "profiler ffi_library ffi luv leaks table_numbers references footprint",
    3: "ring channel_core channel select sync_core sync holdings "
    "shared_handle shared_handle_parts shared_table shared_table_core dtype half_float shared_buffer "
    "shared_buffer_core",
    4: "options chunk called_names turn_lock interpreter interpreter_errors interpreter_functions "
    "prepared_states watchdog registry thread_core thread_core_stopping thread_core_talking "
    "thread_core_owning thread_handle owned_threads osthread "
    "lua_state state_core host host_channel host_sync run_lua_thread",
    5: "lua_pool pool_core pool_job pool_worker pool_arrays host_pool",
    6: "lua_module lua_channel lua_wait lua_message lua_sync lua_shared_table lua_shared_buffer lua_thread "
    "lua_thread_options",
    7: "bindings",  # and every other file of cpp/bindings
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names.split()}
PLATFORMS = re.compile(r"_(posix|linux|macos|windows|bundled|system)$")

# Includes that go up all the same, each with its reason. One that is no longer there fails, too.
UPWARD = {
    ("prepared_states.cpp", "lua_module.hpp"): "a state made ahead has the module installed",
}

# What may lie at the top.
TOP = {
    "pyproject.toml",
    "CMakeLists.txt",
    "CMakePresets.json",
    "noxfile.py",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "cpp",
    "python",
    "tests",
    "third_party",
}


def stem(path: Path) -> str:
    return PLATFORMS.sub("", path.stem)


def core_files() -> list[Path]:
    files = [
        *(ROOT / "cpp/include").rglob("*.h*"),
        *(file for file in (ROOT / "cpp/src").rglob("*") if file.suffix in (".hpp", ".h", ".cpp", ".c")),
    ]
    if not files:
        pytest.skip("the sources are not here")
    return sorted(files)


def binding_files() -> list[Path]:
    return sorted((ROOT / "cpp/bindings").glob("*.[hc]pp"))


def includes(file: Path) -> list[str]:
    """The names of our own files that it includes."""
    found = re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', file.read_text("utf-8"), re.M)
    ours = {path.name for path in [*core_files(), *binding_files()]}
    return [name.rsplit("/", 1)[-1] for name in found if name.rsplit("/", 1)[-1] in ours]


def floor_of(name: str) -> int:
    if any(path.name == name for path in binding_files()):
        return 7
    return FLOOR_OF[stem(Path(name))]


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """One cycle of the graph, or nothing."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph.get(node, ())):
            if cycle := visit(target, [*path, node]):
                return cycle
        done.add(node)
        return []

    for start in sorted(graph):
        if cycle := visit(start, []):
            return cycle
    return []


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not in a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_each_file_of_the_core_has_a_floor() -> None:
    names = {stem(file) for file in core_files()}
    assert names - set(FLOOR_OF) == set(), "give each new file its floor in FLOORS"
    assert set(FLOOR_OF) - names - {"bindings"} == set(), "FLOORS names files that are gone"


def test_includes_point_downwards() -> None:
    upward = {
        (file.name, name)
        for file in [*core_files(), *binding_files()]
        for name in includes(file)
        if floor_of(name) > floor_of(file.name)
    }
    assert upward == set(UPWARD)


def test_no_thread_local_has_a_destructor_on_windows() -> None:
    # mingw-w64 calls them when the memory of thread_locals has been given back already.
    plain = re.compile(
        r"\*|\b(bool|int|DWORD|std::uint32_t|std::size_t|std::uint32_t|std::uintptr_t)\b|RunSlot|NextState"
    )
    declared = [
        (file.name, declaration)
        for file in [*core_files(), *binding_files()]
        if not re.search(r"_(posix|linux|macos)$", file.stem)
        for declaration in re.findall(r"^[^/\n]*\bthread_local ([^;={]+)", file.read_text("utf-8"), re.M)
    ]
    assert declared
    assert [each for each in declared if not plain.search(each[1])] == []


def test_headers_include_each_other_in_no_circle() -> None:
    headers = [file for file in [*core_files(), *binding_files()] if file.suffix in (".hpp", ".h")]
    assert find_cycle({file.name: set(includes(file)) for file in headers}) == []


def test_public_headers_include_public_headers_only() -> None:
    public = {file.name for file in (ROOT / "cpp/include").rglob("*.h*")}
    for file in (ROOT / "cpp/include").rglob("*.h*"):
        text = file.read_text("utf-8")
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.M):
            assert name.startswith("osthread/"), f"{file.name} includes {name}"
            assert name.rsplit("/", 1)[-1] in public, f"{file.name} includes {name}"


def test_bindings_see_of_the_core_its_public_headers_and_host_only() -> None:
    allowed = {file.name for file in (ROOT / "cpp/include").rglob("*.h*")} | {"host.hpp", "host_pool.hpp"}
    allowed |= {file.name for file in binding_files()}
    for file in binding_files():
        assert set(includes(file)) <= allowed, file.name


def package_imports(file: Path) -> Iterator[str]:
    """The modules of the package that a module imports, be it later in a function."""
    package = ROOT / "python/osthread"
    here = file.relative_to(package).with_suffix("").parts
    for statement in ast.walk(ast.parse(file.read_text("utf-8"))):
        if not isinstance(statement, ast.ImportFrom) or not statement.level:
            continue
        base = list(here[: len(here) - statement.level])
        base += statement.module.split(".") if statement.module else []
        for alias in statement.names:
            for parts in ([*base, alias.name], base):
                path = package.joinpath(*parts)
                if path.with_suffix(".py").is_file():
                    yield "/".join(parts)
                    break
                if (path / "__init__.py").is_file() and parts:
                    yield "/".join([*parts, "__init__"])
                    break


def test_python_modules_import_each_other_in_no_circle() -> None:
    package = ROOT / "python/osthread"
    graph = {
        "/".join(file.relative_to(package).with_suffix("").parts): set(package_imports(file))
        for file in package.rglob("*.py")
    }
    assert find_cycle(graph) == []


def test_the_core_imports_nothing_of_the_package() -> None:
    for file in binding_files():
        assert "module_::import" not in file.read_text("utf-8"), file.name


def test_no_function_makes_a_static_variable_when_it_is_first_called() -> None:
    """Others wait while a thread makes one, in a fork's child for ever: constinit, or per_process()."""
    made = re.compile(r"^\s+static (?!constinit|constexpr|inline)[\w:<>*&, ]+ \w+(\{| = )", re.MULTILINE)
    assert made.search("void f() {\n  static const std::string s = [] {")
    for file in [*core_files(), *binding_files()]:
        if file.stem.endswith("_windows"):
            continue  # there is no fork
        assert not made.findall(file.read_text()), file.name


def test_top_level_holds_only_what_belongs_there() -> None:
    top = {file.relative_to(ROOT).parts[0] for file in tracked_files()}
    assert {name for name in top if not name.startswith(".")} - TOP == set()


def test_all_is_complete() -> None:
    things = vars(osthread).items()
    public = {name for name, thing in things if name[0] != "_" and not isinstance(thing, types.ModuleType)}
    assert set(osthread.__all__) - {"__version__"} == public
    assert osthread.__all__ == sorted(osthread.__all__), "in order, so that one finds it"


def undocumented(name: str, thing: object) -> Iterator[str]:
    text = thing.__doc__ or ""
    if not text.strip() or text.startswith(f"{name}("):  # what dataclasses write
        yield name
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            described = isinstance(value, (property, classmethod, staticmethod)) or inspect.isroutine(value)
            if member[0] != "_" and described and not inspect.getdoc(value):
                yield f"{name}.{member}"


def test_each_public_thing_has_a_docstring() -> None:
    missing: list[str] = []
    for name in osthread.__all__:
        thing = getattr(osthread, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            missing += undocumented(name, thing)
    assert missing == []


def test_public_things_name_the_package_as_their_home_or_a_module_of_it() -> None:
    for name in osthread.__all__:
        thing = getattr(osthread, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            assert thing.__module__.split(".")[0] == "osthread", name


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    place = re.compile(
        r"(?<![\w.:/])/(?:home|Users|root|work|workspace|mnt)/[\w.]"  # POSIX
        r"|(?<!\w)[A-Za-z]:\\+(?:Users|work)\\"  # Windows
    )
    found = []
    for file in tracked_files():
        if file == Path(__file__).resolve():
            continue
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{file.relative_to(ROOT)}: {match.group()}" for match in place.finditer(text)]
    assert found == []
