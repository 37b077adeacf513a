"""The words of sides, of diagnoses and of what is recommended, in English and Chinese, with the words that turn or take
away their meaning. Data: `claims` reads with it.

Text is brought to Unicode's NFKC form before it is matched, so full-width signs and numerals stand here as plain ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


# --- sides ------------------------------------------------------------------------------------------------

#: "Left" that is a verb, "right" that is no side, and the Chinese for "about" that is spelt left-right.
_NO_SIDE = (
    r"\b(?:was|were|been|be|has|have|had|is|are)\s+left\b(?!\s+(?:breast|side|axill))",
    r"\bleft\s+(?:in\s+place|in\s+situ|untreated|behind|over|with|alone|as\s+is)\b",
    r"\bright\s+(?:now|away|angles?|after|before|at\s+the|handed)\b",
    r"\b(?:all|alright|left|right)[- ]handed\b",
    r"\ball\s+right\b",
    r"左右(?![乳侧])",
)
NO_SIDE = _any(*_NO_SIDE)
BOTH = _any(
    r"\bbilateral(?:ly)?\b",
    r"\bboth\s+(?:breasts|sides|axillae)\b",
    r"\bbilat\b\.?|\bb/l\b",
    r"\b(?:each|either|neither)\s+(?:breast|side)\b",
    r"\b(?:left\s+(?:and|or|&|/)\s*right|right\s+(?:and|or|&|/)\s*left)\b",
    r"(?:左右|右左)两?[乳侧]|左、右|右、左|左[侧乳]?[及和与]右|右[侧乳]?[及和与]左",
    r"双(?:乳|侧|边)",
    r"两(?:乳|侧|边)",
)
#: One letter names a side only in brackets, as part of a view, or where something follows that has a side.
_OF_A_SIDE = (
    r"(?=[\s-]*(?::|breast|cc\b|mlo\b|axilla|side|upper|lower|inner|outer|uoq|uiq|loq|liq|mamm|us\b|乳|侧|"
    r"(?:at\s+)?\d{1,2}(?:[:-]\d\d)?\s*(?:o'?clock|点|h\b)))"
)
#: The side that was named last.
SAME_SIDE = _any(r"\bthere\b(?!\s+(?:is|are|was|were|has|have|may|can))", r"该处|此处|该侧|此侧|同侧")
LEFT = _any(
    r"\bleft\b", r"\blt\b\.?", rf"\b(?-i:L){_OF_A_SIDE}", r"\((?-i:L)\)|\b(?-i:LCC|LMLO|LML)\b", r"左"
)
RIGHT = _any(
    r"\bright\b", r"\brt\b\.?", rf"\b(?-i:R){_OF_A_SIDE}", r"\((?-i:R)\)|\b(?-i:RCC|RMLO|RML)\b", r"右"
)
#: "Right breast:" at the beginning: what follows is of it, until the next, or until one of the whole exam.
HEADING = re.compile(r"\s*[^:,;]{0,24}:")
HEADING_OF_ALL = _any(
    r"\b(?:impression|overall|conclusions?|recommendations?|summary|assessment)\s*:",
    r"(?:印象|意见|结论|建议|总体[^:]*|总结):",
)

# --- what is said of another time, another breast or another person ------------------------------------------

#: From here to the end of the clause nothing is said of this examination.
FROM_HERE = _any(
    r"\bcompar(?:ed|ison|ing)\b",
    r"\b(?:relative|similar|identical|analogous)\s+to\b",
    r"\b(?:than|unlike|since|versus|vs)\b",
    r"\bhistory\b|\bh/o\b|\bhx\b",
    r"\bstatus[- ]post\b|\bs/p\b",
    r"\b(?:previous|previously|prior|past|former|formerly|earlier|old|known|recently)\b",
    r"[<>](?=\s*(?:left|right|lt|rt|[LR])\b|\s*[左右])",
    r"\bfollow(?:ing|s)?\s+(?:treatment|surgery|mastectomy|lumpectomy|biopsy)\b",
    r"较|与[^,;]*相比|对比|比较|相比",
)
#: A clause with one of these says nothing of this examination at all.
ELSEWHERE = _any(
    r"(?<!\d)(?:19|20)\d\d(?!\d)",
    r"\b(?:days?|weeks?|months?|years?|yrs?)\s+ago\b",
    r"\bpost[- ]?(?:op|operative|surgical|mastectomy|lumpectomy|biopsy|treatment|radiation)\w*",
    r"\b(?:treated|underwent|proven)\b",
    r"\bbiops(?:y|ies)\s*(?:-|site|scar|clip|marker|tract|cavity|change)",
    r"\bscreening\s+(?:for|programme|program)\b|\brisk\b",
    r"\b(?:contralateral|opposite)\b",
    r"术后|术前|既往|病史|手术史|史[,;。]?$|曾|旧片|前片|前次|(?:年|月|周|天)[多余]?前|对侧|对照|癌筛查",
)
#: One that begins so puts the clause before it into the past: "Carcinoma of the left breast, treated in 2011".
LONG_AGO = _any(
    r"^\W*(?:treated|resected|operated|excised|removed|status[- ]post|s/p)\b",
    r"^\W*(?:in\s+)?(?:19|20)\d\d\W*$|^\W*(?:\w+\s+)?(?:days?|weeks?|months?|years?|yrs?)\s+ago\b",
    r"^\W*(?:(?:19|20)\d\d年[^,;。]{0,4}(?:手术|切除|治疗)|已?(?:手术|切除|治疗)|术后)",
)
#: The same in a report of images, for which what was done to the patient lies in the past; a report of tissue is about
#: just that.
EARLIER_PROCEDURE = _any(
    r"\b(?:biopsied|resected|operated)\b",
    r"(?<!recommend )(?<!advise )(?<!suggest )(?<!consider )\b(?:mastectomy|lumpectomy|quadrantectomy)\b"
    r"(?!\s+(?:is\s+|was\s+|should\s+be\s+)?(?:recommended|advised|indicated|considered|suggested))",
    r"\bbiops(?:y|ies)\s+(?:\w+\s+)?(?:showed|shows|revealed|confirmed|proved|demonstrated|yielded|was|were|had)\b"
    r"(?!\s+(?:recommended|advised|indicated|suggested|needed|required|not))",
    r"\bbiops(?:y|ies)\s+(?:(?:was|were|has\s+been)\s+)?(?:previously|already|done|performed|elsewhere|taken)\b",
    r"\b(?:benign|negative|malignant|positive)\s+(?:(?:core|needle|surgical|excisional)\s+)*biops(?:y|ies)\b",
    r"\b(?:concordant|correlat\w+|compatible|agree\w*)\s+with\s+(?:\w+\s+){0,3}?biops(?:y|ies)\b",
    r"\bbiops(?:y|ies)\s+results?\b|\b(?:after|at|on|by)\s+(?:the\s+|core\s+|needle\s+)*biopsy\b",
    r"(?:活检|穿刺)(?:术)?(?:后|结果|病理|示|显示|证实|提示|为)|病理(?:示|显示|结果|回报|提示|证实)",
    r"与[^,;。]{0,4}(?:活检|穿刺|病理)[^,;。]{0,4}(?:一致|相符|符合)",
)
#: Nor does one about another person, to the end of what is said of that person.
OTHER_PERSON = _any(
    r"\b(?:mother|sister|aunt|daughter|grandmother|cousin|niece|relatives?|famil(?:y|ial))\b|\bbrca\d?\b",
    r"家族|家属|母亲|母女|姐|妹|姨|姑|女儿|祖母|外婆|奶奶",
)
#: Persons and nothing that is said of them: "Sisters and aunt", "家族史".
ONLY_PERSONS = re.compile(r"\W*(?:\w+\W+){0,4}\w*\W*$|[^,;]{0,8}$")

# --- what turns a word around ------------------------------------------------------------------------------

#: Before a word: it is not so.
DENIED_BEFORE = _any(
    r"\b(?:no|not|without|never|nor|neither|none|nothing|lacks?|lacking|denies|absence\s+of|free\s+(?:of|from)|negative\s+for)\b",
    r"\b(?:unlikely|improbable|declin(?:es|ed)|refus(?:es|ed)|fail(?:s|ed)?\s+to|excludes?|excluded)\b",
    r"\bnon[- ]?$",
    r"\bun$",
    r"n't\b",
    r"未|无(?!症状|痛|触痛|压痛|创)|没有|否认|缺乏|拒绝|非(?!特殊|对称|肿块|均匀|典型|局灶|触及|常)",
    r"不(?!除外|能除外|能排除|能完全|排除|典型|均|规则|规整|清|对称|光|整|平|完全|伴|明|确定|等|仅|连续|同|但)",
)
#: After a word: it is not so.
DENIED_AFTER = _any(
    r"^\W*(?:\w+\W+){0,6}?(?:not(?!\s+(?:present|seen|visible|identified|noted|there)\s+(?:on|at|previously|before)\b)|unnecessary|unlikely|excluded|ruled\s+out|absent|no\s+longer|never|unwarranted|"
    r"declined|refused)\b",
    r"^[^,;]{0,4}(?:可能性?[较很极]?[小低]|可能不大|依据不足|证据不足|不明显|不支持|不考虑|已排除|可排除|可除外|已除外|"
    r"不需要|无需|不必|暂不|暂缓)",
)
#: Not a denial, though it looks like one.
NO_DENIAL = _any(
    r"\b(?:no|without)\s+(?:a\s+|any\s+)?doubt\b",
    r"\bnot\s+only\b",
    r"\bno\s+(?:significant\s+|interval\s+)*change\s+in\b",
    r"无疑",
)
#: Before a word, or at the beginning of its sentence: it depends on what nobody knows yet.
CONDITION = _any(
    r"\b(?:if|unless|in\s+case(?:\s+of)?|whether)\b",
    r"\b(?:ask(?:s|ed)|worr(?:y|ies|ied)|anxious|afraid|fears?)\b",
    r"^\W*should\b",
    r"是否|如(?!图|上|下|前|同|[左右]图)|若|一旦|倘|万一|担心|询问",
)
#: Before a word: somebody asks or supposes, nobody says so. What is to be done is no supposition.
SUPPOSED_BEFORE = _any(
    r"\b(?:rule\s+out|r/o|ruling\s+out|exclude|excluding|differential|question\s+of|query|mimic\w*|simulat\w+|resembl\w+)\b",
    r"\b(?:can|could|may)\s*not\s+(?:exclude|rule\s+out)\b|\bcan't\s+(?:exclude|rule\s+out)\b",
    r"\bclinical(?:ly)?\s+(?:suspect\w*|suspicion|suspicious|concern\w*|diagnos\w+|impression|question)\b",
    r"排除|除外|鉴别|类似|酷似|临床(?:怀疑|疑|诊断|考虑|拟诊|印象)",
)
OPEN_AFTER = _any(
    r"^\W*(?:\w+\W+){0,3}?(?:cannot|can\s*not|could\s+not|can't|not)\s+(?:be\s+)?(?:entirely\s+|completely\s+)?(?:excluded|ruled\s+out)\b",
    r"^\W*(?:\w+\W+){0,4}?(?:if|unless|should|in\s+case)\b",
    r"\?$",
    r"^[^,;]{0,4}(?:不除外|不能(?:完全)?排除|不能(?:完全)?除外|不排除|待排|待除外|待查|待定)",
)

# --- imaging -----------------------------------------------------------------------------------------------

#: What a report of images claims, by what it means.
#: After a biopsy: what came of it, which is told and not asked for.
_DIAGNOSED = (
    r"(?:benign|malignant|fibro\w+|papillo\w+|carcinoma|cancer|dcis|lcis|adenosis|hyperplasia|cysts?|atypi\w+|normal|"
    r"positive|concordant|inconclusive|mastitis|lipoma|hamartoma|scar|necrosis|b[1-5]\b)"
)
_RESULT = (
    rf"(?![^:.]{{0,28}}:\s*(?:\w+\s+){{0,2}}?{_DIAGNOSED})"
    r"(?!(?:\s+\w+){0,6}?\s+(?:came\s+back|returned|yielded|gave)\b)"
    rf"(?!(?:\s+\w+){{0,6}}?\s+(?:is|was|were)\s+(?:\w+\s+){{0,2}}?{_DIAGNOSED})"
)
_RESULT_ZH = r"(?![^:。]{0,8}:\s*[^,。]{0,4}(?:良性|恶性|纤维|囊|腺|癌|瘤|阴性|阳性|正常))"
IMAGING: Mapping[str, re.Pattern[str]] = {
    "action": _any(
        rf"\bbiops(?:y|ies)\b{_RESULT}",
        rf"\b(?:core|fine)[- ]needle\b{_RESULT}|\b(?:fna|fnac|cnb|vab|vabb)\b{_RESULT}",
        r"\btissue\s+(?:diagnosis|sampling)\b",
        r"\bhistological\s+(?:confirmation|diagnosis|work-?up|sampling|verification)\b",
        r"\bhistology\s+(?:is\s+)?(?:recommended|advised|needed|required|indicated)\b",
        r"\bsurgical\s+(?:excision|referral|consultation)\b|\bexcision(?:al)?\b",
        r"\brefer(?:ral|red)?\s+to\s+(?:a\s+|the\s+)?(?:breast\s+)?surg(?:eon|ery)\b",
        r"\b(?:mastectomy|lumpectomy|quadrantectomy)\b",
        rf"(?:活检|穿刺){_RESULT_ZH}",
        r"组织学(?:检查|诊断|确诊)|病理(?:检查|诊断|确诊)",
        r"手术(?!史|瘢痕|疤痕|后|区|部位|切口)|切除(?!史|后)|外科(?:就诊|会诊|处理)",
    ),
    "suspicious": _any(
        r"\bsuspicious\b|\bsuspicion\b|\bsuspected\b|\bworrisome\b",
        r"\bconcerning\b(?=\s+(?:for|mass|lesion|finding|feature|area|appearance|calcif|asymm|distortion)|\W*$)",
        r"\bmalignan(?:t|cy|cies)\b|\b(?:adeno)?carcinomas?\b|\bspiculat(?:ed|ions?)\b",
        r"\bcancers?\b(?!\s+(?:screening|cent(?:er|re)|clinic|unit|registry|surveillance|patient|survivor))",
        r"可疑|恶性|癌(?!中心|门诊)|毛刺|怀疑|疑似|疑为",
    ),
    "benign": _any(
        r"\bbenign\b|\bfibroadenomas?\b|\bcysts?\b|\blipomas?\b|\bhamartomas?\b|\bfat\s+necrosis\b",
        r"良性|纤维腺瘤|囊肿|脂肪瘤|错构瘤|脂肪坏死|(?<!典型)增生",
    ),
    "lesion": _any(
        r"\bmass(?:es)?\b|\blesions?\b|\bnodules?\b|\blump\b|\bdistortion\b",
        r"肿块|肿物|包块|结节|病灶|占位|结构扭曲",
    ),
    "normal": _any(
        r"\bnegative\b(?!\s+for)|\bunremarkable\b",
        r"\bnormal\s+(?:mammogra\w+|examination|exam|study|breasts?|ultrasound)\b",
        r"\b(?:breasts?|mammogra\w+|examination|ultrasound)\s*(?:is|are|:|appears?)?\s*normal\b|\bmammographically\s+normal\b",
        r"\bno\s+(?:\w+\s+){0,2}?(?:abnormalit(?:y|ies)|abnormal\s+findings?)\b|\bno\s+significant\s+findings?\b",
        r"\bnothing\s+(?:suspicious|abnormal)\b",
        r"未见(?:明显|明确)?(?:异常|占位|病变)|阴性|无(?:明显)?异常",
        r"(?:乳腺|乳房|[双左右两LR]乳|[双左右两]侧|检查|影像|摄影|超声)[^,;。]{0,4}正常",
    ),
    "routine": _any(
        r"\broutine\s+(?:screening|follow[- ]?up|mammogra\w+|interval)\b",
        r"\b(?:annual|yearly|biennial)\s+(?:screening|mammogra\w+|follow[- ]?up)\b",
        r"\bno\s+(?:further\s+|additional\s+)?(?:action|work[- ]?up|follow[- ]?up|investigation)\b",
        r"\bno\s+(?:further\s+|additional\s+)?(?:intervention|evaluation)\b",
        r"\b(?:return|back)\s+to\s+(?:\w+\s+)?screening\b",
        r"常规(?:筛查|随访|复查|体检)|定期(?:筛查|复查|随访|体检)",
        r"(?:每[一1两二2]?年|年度|逐年|(?<!\d)[一1两二2]年后?|(?<!\d)(?:12|24)个月后?)(?:一次|1次)?(?:筛查|复查|随访|体检)",
        r"(?:无需|不需要?|不必)(?:进一步)?(?:处理|检查|随访|干预)",
    ),
}
#: Where one of these is named, "nothing suspicious" is said of it alone.
ONLY_OF = _any(
    r"\bcalcif\w+|\bnodes?\b|\baxill\w+|\blymph\w*|\bskin\b|\bnipples?\b|\bimplants?\b|\bother\b|\badditional\b|\bfurther\b|\belse(?:where)?\b",
    r"\bmargins?\b|\b(?:peri)?vascular\b|\bvessels?\b|\bperineural\b|\bbackground\b|\badjacent\b|\bsurrounding\b",
    r"钙化|淋巴结|腋|皮肤|乳头(?!状)|假体|其他|其它|余|切缘|脉管|神经|周围",
)

DENSITY: Mapping[str, re.Pattern[str]] = {
    "a": _any(
        r"\b(?:almost\s+)?entirely\s+fatty\b|\bpredominantly\s+fatty\b|\bfatty\s+breasts?\b", r"脂肪型"
    ),
    "b": _any(
        r"\bscattered\s+(?:areas\s+of\s+)?fibroglandular\b",
        r"散在(?:的)?(?:纤维)?腺体|散在纤维|少量腺体型|少腺体型",
    ),
    "c": _any(r"\bheterogene(?:ously|ous)\s+dense\b", r"不均匀致密|多量腺体型|混合型"),
    "d": _any(r"\bextremely\s+dense\b", r"极度致密|(?<!不)(?<!不均匀)(?<!均匀)致密型"),
}
DENSITY_LETTER = _any(
    r"\b(?:breast\s+)?(?:density|composition|acr)(?:\s+(?:category|type|class|is|density))*\s*[:=]?\s*\(?([a-d])\b(?!\s*[-–])",
    r"密度(?:分型|分类|为|是|类型)*\s*[:=]?\s*([a-d])(?![a-z])",
    r"\bacr\s*([a-d])(?![a-z])",
)
BI_RADS = re.compile(
    r"(?:\bBI[- ]?RADS\b|\bBIRADS|BI-?RADS|\bcategory\b)"
    r"(?:\s*(?:category|cat\.?|assessment|score|code|final|is|was|分类|类别|分级|评估|为))*"
    r"\s*[:=\-]?\s*(?P<category>0|1|2|3|4\s?[ABC]?|5|6|IV\s?[ABC]?|VI|V|I{1,3})"
    r"(?![\dA-Za-z.]*(?:th|st|nd|rd)\b)(?![A-Za-z0-9])(?!\.\d)(?!\s*版)",
    re.IGNORECASE,
)
ROMAN: Mapping[str, str] = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}

# --- histopathology ----------------------------------------------------------------------------------------

_IN_SITU = (
    r"\b(?:ductal|lobular|intraductal|papillary)?\s*carcinoma\s+in[- ]situ\b",
    r"\bdcis\b|\bintraductal\s+carcinoma\b|\bin[- ]situ\s+(?:ductal\s+)?carcinoma\b",
    r"原位癌|导管内癌",
)
PATHOLOGY: Mapping[str, re.Pattern[str]] = {
    "invasive": _any(
        r"\b(?:invasive|infiltrating|infiltrative)\s+(?:\w+\s+){0,3}?(?:carcinoma|cancer|tumou?r)\b",
        r"\b(?:mammary|breast|lobular|ductal|tubular|mucinous|cribriform|metaplastic|micropapillary)\s+carcinoma\b(?!\s+in)",
        r"\b(?-i:IDC|ILC)\b",
        r"浸润(?:性|型)?[^,;。]{0,8}?癌",
    ),
    "in_situ": _any(*_IN_SITU),
    "malignant": _any(
        r"\bmalignan(?:t|cy|cies)\b|\b(?:adeno)?carcinoma\b(?!\s+in[- ]situ)|\bcancer\b(?!\s+screening)|\bsarcoma\b",
        r"恶性|(?<!原位)(?<!内)癌(?!旁)",
    ),
    "tumour": _any(r"\btumou?r\b(?!\s+(?:bed|size))", r"肿瘤"),
    "atypia": _any(
        r"\batypical\s+(?:\w+\s+)?hyperplasia\b|\batypia\b|\b(?-i:ADH|ALH|FEA)\b|\blcis\b|\blobular\s+neoplasia\b",
        r"不典型|非典型",
    ),
    "benign": _any(
        r"\bbenign\b|\bfibroadenomas?\b|\bfibrocystic\b|\bsclerosing\s+adenosis\b|\busual\s+ductal\s+hyperplasia\b",
        r"\bradial\s+scar\b|\bhamartoma\b|\blipoma\b|\bfat\s+necrosis\b|\bduct\s+ectasia\b|\bpapillomas?\b",
        r"良性|纤维腺瘤|纤维囊性|腺病|导管扩张|脂肪坏死|乳头状瘤|普通型?导管增生",
    ),
    "normal": _any(r"\bnormal\s+breast\s+tissue\b|\bunremarkable\b", r"正常乳腺"),
}
INVASIVE_TYPES: Mapping[str, re.Pattern[str]] = {
    "nst": _any(
        r"\bno\s+special\s+type\b|\b(?-i:NST)\b|\b(?-i:IDC)\b",
        r"\b(?:invasive|infiltrating)\s+(?:\w+\s+)?duct(?:al)?\b|(?<!intra)\bductal\s+carcinoma\b(?!\s+in)",
        r"非特殊(?:类)?型|浸润(?:性|型)?导管癌",
    ),
    "lobular": _any(
        r"\b(?:invasive|infiltrating)\s+(?:\w+\s+)?lobular\b|\blobular\s+carcinoma\b(?!\s+in)|\b(?-i:ILC)\b",
        r"小叶癌(?!原位)|浸润(?:性|型)?小叶",
    ),
    "tubular": _any(r"\btubular\s+carcinoma\b", r"小管癌"),
    "cribriform": _any(r"\bcribriform\s+carcinoma\b", r"筛状癌"),
    "mucinous": _any(r"\bmucinous\b|\bcolloid\s+carcinoma\b", r"粘液癌|黏液癌|[粘黏]液性癌"),
    "micropapillary": _any(r"\bmicropapillary\s+carcinoma\b", r"微乳头状癌"),
    "metaplastic": _any(r"\bmetaplastic\s+carcinoma\b", r"化生性癌"),
}
GRADE = re.compile(
    r"(?:(?<!nuclear )\bgrade\s*[:=]?\s*(?P<grade>[123]|I{1,3})\b(?!\s*/)|\bG(?P<letter>[123])\b|"
    r"(?:组织学)?分级\s*[:=]?\s*(?:为)?\s*(?P<chinese>[123]|I{1,3})\s*级?|"
    r"(?<![核\w])(?P<level>[123]|I{1,3})\s*级)",
    re.IGNORECASE,
)
DIFFERENTIATION: Mapping[int, re.Pattern[str]] = {
    1: _any(r"\bwell[- ]differentiated\b", r"高分化"),
    2: _any(r"\bmoderately[- ]differentiated\b", r"中分化"),
    3: _any(r"\bpoorly[- ]differentiated\b", r"低分化"),
}
_MARK = r"\s*[:=]?\s*(?:状态|status|表达|score|is|was|ihc)?\s*[:=]?\s*[-(]?\s*"
_SAID = (
    r"(?P<plus>[0-3]\s*\+|\+{1,3}|positive|阳性)|(?P<percent>\d+(?:\.\d+)?)\s*%|"
    r"(?P<minus>negative|阴性|-(?![\d\w])|0(?![\d.]))"
)
RECEPTORS: Mapping[str, re.Pattern[str]] = {
    "er": re.compile(
        rf"(?:\b(?-i:ER)\b|\boestrogen\s+receptors?|\bestrogen\s+receptors?|雌激素受体){_MARK}(?:{_SAID})",
        re.I,
    ),
    "pr": re.compile(rf"(?:\b(?-i:PR|PgR)\b|\bprogesterone\s+receptors?|孕激素受体){_MARK}(?:{_SAID})", re.I),
    "her2": re.compile(rf"(?:\bHER[- ]?2(?:/neu)?|\bc-?erbB-?2){_MARK}(?:{_SAID})", re.I),
}
TRIPLE_NEGATIVE = _any(r"\btriple[- ]negative\b|\bTNBC\b", r"三阴")
MARGINS: Mapping[str, re.Pattern[str]] = {
    "positive": _any(
        r"\bmargins?\s+(?:\w+\s+){0,3}?(?:involved|positive)\b|\b(?:involved|positive)\s+(?:\w+\s+){0,2}?margins?\b",
        r"\b(?:tumou?r|carcinoma|ink)\s+(?:at|on|reaches|extends\s+to)\s+(?:the\s+)?(?:\w+\s+)?(?:ink|margin)",
        r"切缘[^,;。]{0,6}?(?:阳性|受累|(?<!未)(?<!未见)见癌|可见癌|累及)",
    ),
    "negative": _any(
        r"\bmargins?\s+(?:\w+\s+){0,4}?(?:clear|negative|free|uninvolved|not\s+involved)\b",
        r"\b(?:clear|negative|free|uninvolved)\s+(?:\w+\s+){0,2}?margins?\b",
        r"切缘[^,;。]{0,6}?(?:阴性|干净|净|未见癌|未见肿瘤|未受累)",
    ),
}

# --- sizes -------------------------------------------------------------------------------------------------

SIZE = re.compile(
    r"(?P<first>\d+(?:[.,]\d+)?)(?P<more>(?:\s*(?:mm|cm|毫米|厘米)?\s*[x×*]\s*\d+(?:[.,]\d+)?){0,2})"
    r"\s*(?P<unit>mm|cm|毫米|厘米)(?![A-Za-z²³0-9])",
    re.IGNORECASE,
)
#: A length in such a clause is of something else than the lesion.
OTHER_LENGTHS = _any(
    r"\bmargins?\b|\bfrom\b|\bnodes?\b|\bdepth\b|\bcores?\b|\bdistance\b|\bspecimens?\b|\bneedles?\b|\bslices?\b|\bfragments?\b",
    r"切缘|距|淋巴结|深|标本|组织块|穿刺|条",
)
TUMOUR_SIZE = _any(
    r"\btumou?r\b|\bcarcinoma\b|\bsize\b|\bmeasur\w+|\bdiameter\b|\binvasive\b|\blesion\b|\bmass\b",
    r"肿瘤|癌|直径|大小|最大径|肿物|肿块|病灶",
)
