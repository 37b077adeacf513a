"""What the box's page says, in English and in Simplified Chinese."""

from __future__ import annotations

import re

LANGUAGES = ("en", "zh-Hans")

_CHINESE = {
    "Edge box": "边缘盒",
    "Studies": "检查",
    "Research software, not a medical device.": "研究软件，不是医疗器械。",
    "Model": "模型",
    "Line to the hospital": "与医院的连接",
    "Waiting for the hospital": "等待医院接收",
    "Files with the hospital": "医院已接收的文件",
    "Declined by the hospital": "医院拒收的文件",
    "Room on the disk": "磁盘可用空间",
    "No hospital is set: everything stays here.": "未设置医院：所有数据留在本机。",
    "Everything has been handed over.": "已全部移交。",
    "Handing over.": "正在移交。",
    "Last answer: {time}.": "最近一次应答：{time}。",
    "Next try in {seconds} s.": "{seconds} 秒后重试。",
    "The disk is full: nothing more is taken in.": "磁盘已满：不再接收新图像。",
    "No study has come yet.": "尚未收到检查。",
    "Patient ID": "患者编号",
    "Accession number": "检查号",
    "Came at": "接收时间",
    "Images": "图像",
    "Answer": "结果",
    "With the hospital": "医院接收情况",
    "highly suspicious": "高度可疑",
    "suspicious": "可疑",
    "possibly suspicious": "可能可疑",
    "not suspicious": "未见可疑",
    "{words}: {class} {score} by {model}": "{words}：{class} {score}（{model}）",
    "No verdict: the images are unlike what {model} has learnt from.": "无结论：图像与 {model} 学习过的图像不同。",
    "Without the images that are unlike what the model has learnt from.": "不含与模型学习过的图像不同的图像。",
    "Being read.": "正在分析。",
    "Not read by this box's model.": "本机模型不分析此类图像。",
    "Heat map of image {number}": "图像 {number} 的热图",
    "{done} of {all}": "{done} / {all}",
    "declined: {reason}": "拒收：{reason}",
    "The whole answer": "完整结果",
    "This page looks again every ten seconds. It has the patient's number and no name.":
        "本页每十秒刷新一次；只显示患者编号，不显示姓名。",
    "benign": "良性",
    "malignant": "恶性",
    "normal": "正常",
}  # fmt: skip


def language_of(accepted: str) -> str:
    """Of an `Accept-Language` header: Chinese where it is wanted before English."""
    wanted = re.findall(r"\b(zh|en)\b", accepted.lower())
    return "zh-Hans" if wanted[:1] == ["zh"] else "en"


def said(language: str, sentence: str, **values: object) -> str:
    """The sentence in a language. Raises `KeyError` for one that has no translation."""
    chinese = _CHINESE[sentence]
    return (chinese if language == "zh-Hans" else sentence).format(**values)
