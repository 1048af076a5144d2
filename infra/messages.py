"""The embedded servers' messages to people: a code with its facts, worded here in English and Chinese.

Progress and failures are both a `ServerMessage`; a failure is raised.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

SENTENCES: dict[str, tuple[str, str]] = {
    "kafka.fetch": (
        "Fetching {count} Kafka libraries into {folder} (once for all clones)",
        "正在下载 {count} 个 Kafka 程序库到 {folder}（各克隆共用，仅此一次）",
    ),
    "kafka.archive": (
        "Archiving Kafka's Java classes in {folder} (once for all clones)",
        "正在 {folder} 生成 Kafka 的 Java 类归档（各克隆共用，仅此一次）",
    ),
    "kafka.format": ("Preparing Kafka's storage in {folder}", "正在准备 Kafka 的存储目录 {folder}"),
    "kafka.start": ("Starting Kafka on port {port}", "正在启动 Kafka（端口 {port}）"),
    "kafka.ready": (
        "Kafka ready on {bootstrap} after {seconds:.1f} s",
        "Kafka 已就绪：{bootstrap}，用时 {seconds:.1f} 秒",
    ),
    "kafka.stop": ("Stopping Kafka", "正在停止 Kafka"),
    "postgres.create": ("Creating the PostgreSQL cluster in {folder}", "正在 {folder} 创建 PostgreSQL 数据库集群"),
    "postgres.start": ("Starting PostgreSQL in {folder}", "正在启动 PostgreSQL（{folder}）"),
    "postgres.ready": ("PostgreSQL ready after {seconds:.1f} s", "PostgreSQL 已就绪，用时 {seconds:.1f} 秒"),
    "postgres.stop": ("Stopping PostgreSQL", "正在停止 PostgreSQL"),
    "leftover.stop": (
        "Stopping {name} left over from an earlier start (process {pid})",
        "正在停止上次遗留的 {name}（进程 {pid}）",
    ),
    "port.moved": (
        "Port {old} is taken by another program; {name} moves to port {new}",
        "端口 {old} 已被其他程序占用，{name} 改用端口 {new}",
    ),
    "port.taken": (
        "Port {port}, set for {name}, is taken by {owner}: stop that program or choose another port.",
        "{name} 指定的端口 {port} 已被 {owner} 占用：请停止该程序或另选端口。",
    ),
    "port.none": (
        "No free port for {name} between {first} and {last}: stop some programs and start again.",
        "{first} 到 {last} 之间没有可供 {name} 使用的空闲端口：请停止一些程序后重新启动。",
    ),
    "folder.held": (
        "{folder} is in use by process {pid}: stop that process first, or choose another folder.",
        "{folder} 正由进程 {pid} 使用：请先停止它，或另选目录。",
    ),
    "folder.unusable": (
        "{folder} cannot be used ({reason}): give write permission there or choose another folder.",
        "无法使用 {folder}（{reason}）：请授予写权限或另选目录。",
    ),
    "user.none": (
        "PostgreSQL refuses to run as root, and no user id from {first} to {last} is free for it: start as another user.",
        "PostgreSQL 不能以 root 身份运行，而 {first} 到 {last} 之间没有空闲的用户编号：请以其他用户启动。",
    ),
    "user.nameless": (
        "PostgreSQL needs a name for user {uid}, and this machine has none: add the user to /etc/passwd, or start as another.",
        "PostgreSQL 需要用户 {uid} 的名称，而本机没有：请将该用户加入 /etc/passwd，或以其他用户启动。",
    ),
    "user.no_way": (
        "PostgreSQL refuses to run as root, and its own user cannot get access to {folder} ({reason}): start as an "
        "ordinary user, or set ROTATION_DATA_DIR to a folder that everyone may pass through, such as /var/lib/rotation.",
        "PostgreSQL 不能以 root 身份运行，而其专用用户无法进入 {folder}（{reason}）：请以普通用户启动，"
        "或将 ROTATION_DATA_DIR 设为人人可经过的目录，例如 /var/lib/rotation。",
    ),
    "socket.unsafe": (
        "{folder}, the folder for PostgreSQL's socket, does not belong to this user alone: remove it and start again.",
        "PostgreSQL 套接字目录 {folder} 并非本用户专有：请删除后重新启动。",
    ),
    "disk.full": (
        "The disk of {folder} has {free_mb} MB left and {name} needs {needed_mb} MB: free some space and start again.",
        "{folder} 所在磁盘仅剩 {free_mb} MB，{name} 需要 {needed_mb} MB：请清理空间后重新启动。",
    ),
    "jars.unreachable": (
        "Kafka's library {jar} could not be fetched ({reason}): connect to the network once and start again.",
        "无法下载 Kafka 程序库 {jar}（{reason}）：请联网一次后重新启动。",
    ),
    "jars.differ": (
        "Kafka's library {jar} is not the one this project was tested with (its checksum differs): it was not kept.",
        "Kafka 程序库 {jar} 的校验和与本项目所测试的不符，已舍弃。",
    ),
    "server.died": (
        "{name} exited unexpectedly ({how}): {last} See {log}, fix the cause and restart.",
        "{name} 意外退出（{how}）：{last} 详见 {log}，排除原因后请重新启动。",
    ),
    "server.frozen": (
        "{name} was frozen for {seconds:.0f} s and is started again; its log until now is {log}.1",
        "{name} 停顿了 {seconds:.0f} 秒，已重新启动；此前日志见 {log}.1",
    ),
    "server.slow": (
        "{name} did not answer within {seconds:.0f} s: see {log}; is the machine overloaded?",
        "{name} 在 {seconds:.0f} 秒内没有响应：请查看 {log}，机器是否过载？",
    ),
    "postgres.version": (
        "{folder} was made by PostgreSQL {found}, this is PostgreSQL {expected}: move the folder away or upgrade it.",
        "{folder} 由 PostgreSQL {found} 创建，当前版本为 {expected}：请移走该目录或先升级。",
    ),
    "postgres.create_failed": (
        "PostgreSQL could not create its cluster in {folder}: {last}",
        "PostgreSQL 无法在 {folder} 创建数据库集群：{last}",
    ),
    "kafka.format_failed": (
        "Kafka could not prepare its storage in {folder}: {last}",
        "Kafka 无法准备存储目录 {folder}：{last}",
    ),
}
LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class ServerMessage:
    """A code of SENTENCES with the facts that its sentence names."""

    code: str
    facts: dict[str, object] = field(default_factory=dict)

    def text(self, language: str = "en") -> str:
        """Return the sentence in `language` ("en" or "zh")."""
        return SENTENCES[self.code][LANGUAGES.index(language)].format_map(self.facts)


Tell = Callable[[ServerMessage], None]


def silent(message: ServerMessage) -> None:
    """Receive a message and do nothing with it."""


class ServerError(RuntimeError):
    """A server cannot start or has died; `message` names the failure, its place and the remedy."""

    def __init__(self, code: str, **facts: object) -> None:
        self.message = ServerMessage(code, facts)
        super().__init__(self.message.text())
