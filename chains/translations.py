"""The Korean forms of every message that people can see, by its English template; the fields are the same."""

import re
from typing import Literal

Language = Literal["en", "ko"]

# Words between 이(가) and the like depend on the sound before them, which a field's value decides: so none follows one.
KOREAN: dict[str, str] = {
    ("{message}"): ("{message}"),
    ("{label} stopped sending: try again."): ("{label}: 답이 도중에 멎었어요. 다시 시도해 주세요."),
    ("{label} did not answer in time: try again."): ("{label}: 제때 답이 오지 않았어요. 다시 시도해 주세요."),
    ("{label} closed the connection early: try again."): ("{label}: 연결이 끊겼어요. 다시 시도해 주세요."),
    ("{label} failed or sent an invalid response: try again."): (
        "{label}: 오류가 났거나 읽을 수 없는 답이 왔어요. 다시 시도해 주세요."
    ),
    ("{label} reached its token limit before it wrote text: raise the step's max_tokens."): (
        "{label}: 한 글자도 쓰기 전에 토큰 한도에 닿았어요. 이 단계의 max_tokens를 늘려 주세요."
    ),
    ("{label}'s content filter blocked the whole answer: reword the request."): (
        "{label}: 콘텐츠 필터가 답을 모두 막았어요. 요청을 다른 말로 적어 주세요."
    ),
    ("{label} sent an empty answer: try again."): ("{label}: 빈 답이 왔어요. 다시 시도해 주세요."),
    ("{label} took longer than {seconds:g} seconds for one answer: try again."): (
        "{label}: 답 하나에 {seconds:g}초 넘게 걸렸어요. 다시 시도해 주세요."
    ),
    ("Cut off at the limit of tokens set for it."): ("정해 둔 토큰 한도에서 끊겼어요."),
    ("Cut off by the provider's content filter."): ("제공자의 콘텐츠 필터가 답을 끊었어요."),
    ("The provider did not say why its answer ended."): ("제공자가 답이 왜 끝났는지 알려 주지 않았어요."),
    ("The provider broke off before the end."): ("제공자의 답이 끝나기 전에 끊겼어요."),
    ("There was no time left to write this: try again."): ("이 부분을 쓸 시간이 남지 않았어요. 다시 시도해 주세요."),
    ("Something went wrong on our side: try again."): ("저희 쪽에서 문제가 생겼어요. 다시 시도해 주세요."),
    ("The model proposed fewer than two usable options: try again."): (
        "모델이 읽을 수 있는 제안을 두 가지 이상 내놓지 않았어요. 다시 시도해 주세요."
    ),
    ("Needs “{part}”, which failed."): ("‘{part}’ 부분을 쓰지 못해서 이 부분도 쓸 수 없었어요."),
    (
        "The prompt is about {prompt:,} tokens long and the answer may take {answer:,}, "
        "but {model} holds {window:,}: use a larger model."
    ): (
        "프롬프트가 약 {prompt:,}토큰이고 답에 {answer:,}토큰까지 쓰일 수 있는데, {model} 모델에는 {window:,}토큰까지만 "
        "들어가요. 더 큰 모델을 써 주세요."
    ),
    ("This took longer than {seconds:g} seconds: try again."): ("{seconds:g}초 넘게 걸렸어요. 다시 시도해 주세요."),
    ("The answer took longer than {seconds:g} seconds: try again."): (
        "답에 {seconds:g}초 넘게 걸렸어요. 다시 시도해 주세요."
    ),
    ("The text exceeded the size limit. Please try again."): ("글이 너무 길어졌어요. 다시 시도해 주세요."),
    ("The server's storage is full or out of reach. Please try again later."): (
        "서버의 저장 공간이 가득 찼거나 닿지 않아요. 나중에 다시 시도해 주세요."
    ),
    ("The run was stopped before it finished."): ("끝나기 전에 멈췄어요."),
    ("The server was stopped."): ("서버가 멈췄어요."),
    ("The server stopped this answer to make room for another client: try again."): (
        "더 적게 쓰는 사람에게 자리를 내줬어요. 다시 시도해 주세요."
    ),
    ("Run not found. It may have been lost when the server restarted."): (
        "실행을 찾을 수 없어요. 서버가 다시 시작되면서 없어졌을 수 있어요."
    ),
    ("This run has expired. Please send its request again."): ("보관 기간이 지난 실행이에요. 다시 요청해 주세요."),
    ("You have reached your limit per minute. Please try again in {seconds:,} s."): (
        "1분 동안 시작할 수 있는 만큼 모두 시작했어요. {seconds:,}초 뒤에 다시 시도해 주세요."
    ),
    ("You have {most:,} active runs, the most allowed at a time. Please wait until one ends."): (
        "한 번에 {most:,}개까지만 실행할 수 있어요. 하나가 끝날 때까지 기다려 주세요."
    ),
    ("The server is at capacity. Please try again in a few seconds."): (
        "지금은 서버가 더 받을 수 없어요. 몇 초 뒤에 다시 시도해 주세요."
    ),
    "This server has used up its budget for today. The next one begins at 00:00 UTC.": (
        "이 서버의 오늘 예산을 다 썼어요. 다음 예산은 00:00 UTC에 시작해요."
    ),
    "You have used up your budget for today. The next one begins at 00:00 UTC.": (
        "오늘 쓸 수 있는 예산을 다 썼어요. 다음 예산은 00:00 UTC에 시작해요."
    ),
    "The rest of the budget is reserved for calls under way. Please try again in a few seconds.": (
        "남은 예산은 진행 중인 호출에 잡혀 있어요. 몇 초 뒤에 다시 시도해 주세요."
    ),
    "The rest of your budget is reserved for your calls under way. Please try again in a few seconds.": (
        "남은 예산은 진행 중인 내 호출에 잡혀 있어요. 몇 초 뒤에 다시 시도해 주세요."
    ),
    "The server cannot check its budget now. Please try again in a few seconds.": (
        "지금은 서버가 예산을 확인할 수 없어요. 몇 초 뒤에 다시 시도해 주세요."
    ),
    "{model} has no price, so it is not used while there is a budget: add price_in and price_out to the registry.": (
        "{model} 모델은 가격을 몰라서 예산이 있는 동안에는 쓰지 않아요. 레지스트리에 price_in과 price_out을 적어 주세요."
    ),
    ("The server is shutting down. Please try again in a few seconds."): (
        "서버가 멈추는 중이에요. 몇 초 뒤에 다시 시도해 주세요."
    ),
    ("The run is being stopped. Please try again in a moment."): (
        "실행이 멈추는 중이에요. 잠시 뒤에 다시 시도해 주세요."
    ),
    ("Still being generated: {parts}."): ("아직 쓰고 있어요: {parts}."),
    ("This part is made from “{part}”. Regenerate that instead."): (
        "이 부분은 ‘{part}’ 부분을 바탕으로 써요. 그 부분을 먼저 다시 쓰게 해 주세요."
    ),
    ("This run was started with a given option, so it proposes no others."): (
        "고른 것으로 시작한 실행이라 다른 제안이 없어요."
    ),
    ("Only the browser or program that started this run can stop it or regenerate its parts."): (
        "이 실행을 시작한 브라우저나 프로그램만 멈추거나 다시 쓰게 할 수 있어요."
    ),
    ("This Idempotency-Key was used with another request."): ("이 Idempotency-Key는 이미 다른 요청에 쓰였어요."),
    ("Invalid Idempotency-Key."): ("Idempotency-Key가 올바르지 않아요."),
    ("1 to 200 visible ASCII characters, and the same key for the same request only."): (
        "눈에 보이는 ASCII 문자 1~200자. 같은 키는 같은 요청에만 쓸 수 있어요."
    ),
    ("Invalid Last-Event-ID."): ("Last-Event-ID가 올바르지 않아요."),
    ("The id of an event of this run, as it was sent."): ("이 실행에서 받은 이벤트의 id 그대로."),
    ("A JSON object with {fields}."): ("{fields} 필드가 있는 JSON 객체."),
    ("A JSON object with {fields}, or an empty one."): ("{fields} 필드가 있는 JSON 객체, 또는 빈 객체."),
    ("One of {names}."): ("다음 중 하나: {names}."),
    ("Some of {names}."): ("다음 중에서: {names}."),
    ("There is no model {name!r} with a key."): ("{name!r}: 키가 있는 그런 모델이 없어요."),
    ("There is no model {name!r}. Available models: {names}."): ("{name!r}: 그런 모델이 없어요. 있는 모델: {names}."),
    ("{name} can't write that many tokens."): ("{name}: 그만큼 많은 토큰은 쓸 수 없어요."),
    ("From 1 to {most:,}."): ("1에서 {most:,}까지."),
    ("A shorter question."): ("더 짧은 질문."),
    ("A shorter question, fewer max_tokens or a larger model."): ("더 짧은 질문, 더 작은 max_tokens, 또는 더 큰 모델."),
    ("The Content-Type must be application/json."): ("Content-Type은 application/json이어야 해요."),
    ("{field}: {wrong}."): ("{field}: {wrong}."),
    ("{field}: {wrong}.{hint}"): ("{field}: {wrong}.{hint}"),
    ("There is no message of the role 'user'.{hint}"): ("역할이 'user'인 메시지가 없어요.{hint}"),
    (
        "There is no message of the role 'user'. Name the ingredients on hand and the "
        "time in the last user message, for example: beef, onions; 30 minutes."
    ): (
        "역할이 'user'인 메시지가 없어요. 마지막 user 메시지에 가진 재료와 시간을 적어 주세요. 예: 소고기, 양파; 30분."
    ),
    (
        "{field}: {wrong}. Name the ingredients on hand and the time in the last user "
        "message, for example: beef, onions; 30 minutes."
    ): ("{field}: {wrong}. 마지막 user 메시지에 가진 재료와 시간을 적어 주세요. 예: 소고기, 양파; 30분."),
    ("name at least one ingredient in letters"): ("재료를 하나 이상 글자로 적어 주세요"),
    ("name at least one ingredient: this is an instruction, not food"): (
        "재료를 하나 이상 적어 주세요. 이것은 음식이 아니라 지시예요"
    ),
    (
        "'{food}' is not food but a chemical that can kill. Leave it out, and call a "
        "poison centre if anybody has swallowed some"
    ): (
        "'{food}': 음식이 아니라 목숨을 앗을 수 있는 화학 물질이에요. 빼 주세요. 누가 삼켰다면 119나 중독 상담 센터에 전화하세요"
    ),
    ("'{food}' is not food: swallowing it can injure or poison people. Leave it out"): (
        "'{food}': 음식이 아니에요. 삼키면 다치거나 중독될 수 있으니 빼 주세요"
    ),
    ("'{food}' is not food. Name an ingredient instead"): ("'{food}': 음식이 아니에요. 재료를 적어 주세요"),
    ("'{food}' is poisonous and can kill, even when cooked. Leave it out"): (
        "'{food}': 독이 있어서 익혀도 목숨을 앗을 수 있어요. 빼 주세요"
    ),
    ("'{food}' means spoiled food, which makes people ill even when cooked. Throw it away"): (
        "'{food}': 상한 음식은 익혀도 탈이 나요. 버려 주세요"
    ),
    ("'{food}': pets and animals that people do not eat are not cooked here. Name another ingredient"): (
        "'{food}': 반려동물이나 사람이 먹지 않는 동물은 요리하지 않아요. 다른 재료를 적어 주세요"
    ),
    ("'{food}': people are not food. Name another ingredient"): (
        "'{food}': 사람은 음식이 아니에요. 다른 재료를 적어 주세요"
    ),
    ("'{food}' is a medicine or a drug, not an ingredient. Leave it out"): (
        "'{food}': 재료가 아니라 약이나 마약이에요. 빼 주세요"
    ),
    ("a recipe is for at most {most} people"): ("레시피는 {most}인분까지예요"),
    (
        "What is in the kitchen, in English or Korean: up to 2,000 characters with at "
        "least one word, for example: beef flank, onions, peppers."
    ): ("부엌에 있는 재료를 영어나 한국어로: 낱말이 하나 이상 있는 2,000자까지의 글. 예: 소고기, 양파, 파프리카."),
    (
        "A diet that every part has to keep, or several, with commas between: up to 300 "
        "characters, for example: vegan, halal."
    ): ("모든 부분이 지켜야 할 식단, 여럿이면 쉼표로 나눠서: 300자까지. 예: 비건, 할랄."),
    ("Foods that no part may use, with commas between: up to 300 characters, such as peanuts, milk."): (
        "어느 부분에도 쓰면 안 되는 식품, 쉼표로 나눠서: 300자까지. 예: 땅콩, 우유."
    ),
    ("For how many people the amounts are: a whole number, 1 to 20."): ("몇 인분인지: 1~20의 정수."),
    ("How long cooking may take: a whole number of minutes, 5 to 240."): ("조리에 쓸 수 있는 시간: 5~240의 정수(분)."),
    ("The language of the answer: en for English or ko for Korean."): ("답의 언어: 영어는 en, 한국어는 ko."),
    ("A whole number from 0 to 2^53 that repeats the pick, or nothing for chance."): (
        "같은 것을 다시 고르게 하는 0~2^53의 정수. 없으면 무작위."
    ),
    ("The question: 1 to 20,000 characters."): ("질문: 1~20,000자."),
    ("The name of a model that has a key, as `sizzle models` lists them, or nothing."): (
        "키가 있는 모델의 이름(`sizzle models`에 나오는 대로). 없어도 돼요."
    ),
    ("The most tokens to be written: from 1 to what the model can write."): (
        "쓸 토큰의 최댓값: 1부터 모델이 쓸 수 있는 만큼."
    ),
    ("A marker to stop before: 1 to 100 characters, at most 8 markers."): ("그 앞에서 멈출 표시: 1~100자, 8개까지."),
    ("How often each model is measured: a whole number from 1 to 20."): ("모델마다 재는 횟수: 1~20의 정수."),
    ("The names of models that have a key, or nothing for all of them."): ("키가 있는 모델들의 이름. 없으면 모두."),
    (
        "The race is off here, because it makes calls that a provider charges for. Set "
        "SIZZLE_RACE=true and start Sizzle again, or run `sizzle race` in a terminal."
    ): (
        "속도 비교는 제공자가 요금을 매기는 호출을 하므로 꺼져 있어요. SIZZLE_RACE=true로 설정하고 Sizzle을 다시 시작하거나, "
        "터미널에서 `sizzle race`를 실행해 주세요."
    ),
    ("You have another race running, and two would slow each other down. Try again when it has ended."): (
        "이미 속도 비교를 하고 있어요. 둘이 함께 하면 서로 느려지니, 끝난 뒤에 다시 시도해 주세요."
    ),
    ("There is no such broadcast: it ended more than a minute ago, or nobody followed it."): (
        "그런 방송이 없어요. 끝난 지 1분이 넘었거나, 보는 사람이 없었어요."
    ),
    ("This server follows as many answers as it can: try again in a minute."): (
        "서버가 동시에 맡을 수 있는 답이 꽉 찼어요. 1분 뒤에 다시 시도해 주세요."
    ),
    ("{label} did not accept the key (401): check the provider's API key in the settings."): (
        "{label}: API 키가 거절됐어요(401). 설정에서 이 제공자의 API 키를 확인해 주세요."
    ),
    ("{label} asks for payment (402): check the account's credit."): (
        "{label}: 결제가 필요해요(402). 계정의 잔액을 확인해 주세요."
    ),
    ("{label} did not allow the request (403): check what the API key may do."): (
        "{label}: 요청이 허용되지 않았어요(403). API 키의 권한을 확인해 주세요."
    ),
    ("{label} rejected the request as too large (413): lower the step's max_tokens or use another model."): (
        "{label}: 요청이 너무 커요(413). 이 단계의 max_tokens를 줄이거나 다른 모델을 써 주세요."
    ),
    ("{label} may not answer for legal reasons (451): use another provider."): (
        "{label}: 법적인 이유로 답할 수 없어요(451). 다른 제공자를 써 주세요."
    ),
    ("{label} took too long (408): try again."): ("{label}: 시간이 너무 오래 걸렸어요(408). 다시 시도해 주세요."),
    ("{label} has had too many requests (429): wait a minute, or use another provider."): (
        "{label}: 요청이 너무 많았어요(429). 1분쯤 기다리거나 다른 제공자를 써 주세요."
    ),
    ("{label} failed ({status}): try again."): ("{label}: 오류가 났어요({status}). 다시 시도해 주세요."),
    ("{label} could not be reached: check the network, the base URL, the proxy and the API key's form."): (
        "{label}: 연결할 수 없어요. 네트워크, 기본 URL, 프록시, API 키의 형식을 확인해 주세요."
    ),
    ("A JSON object in UTF-8."): ("UTF-8로 된 JSON 객체."),
    ("A JSON object with the fields that the chain's input_schema names."): (
        "체인의 input_schema에 있는 필드로 된 JSON 객체."
    ),
    ('A JSON object: {{"configurable": {{"model": "…"}}}} with a model that config_schema names, or an empty one.'): (
        'JSON 객체: config_schema에 있는 모델로 {{"configurable": {{"model": "…"}}}}, 또는 빈 객체.'
    ),
    ("A list of at most 20 JSON objects with the fields that the chain's input_schema names."): (
        "체인의 input_schema에 있는 필드로 된 JSON 객체가 20개까지인 목록."
    ),
    ("Pages of other sites may not send this request. SIZZLE_CORS_ORIGINS can allow more origins."): (
        "다른 사이트의 페이지는 이 요청을 보낼 수 없어요. 더 허용할 출처는 SIZZLE_CORS_ORIGINS에 적어 주세요."
    ),
    ("This server does not answer under this name. SIZZLE_ALLOWED_HOSTS can allow more."): (
        "이 서버는 이 이름으로 온 요청에 답하지 않아요. 더 허용할 이름은 SIZZLE_ALLOWED_HOSTS에 적어 주세요."
    ),
    ("This server answers only its own machine, because it has no token: set SIZZLE_TOKEN."): (
        "이 서버에는 토큰이 없어서 같은 컴퓨터의 요청에만 답해요. SIZZLE_TOKEN을 정해 주세요."
    ),
    ("This server needs a token: send it as Authorization: Bearer TOKEN, or sign in at /sign-in."): (
        "이 서버에는 토큰이 필요해요. Authorization: Bearer TOKEN으로 보내거나 /sign-in에서 로그인해 주세요."
    ),
    ("This token is not valid."): ("올바른 토큰이 아니에요."),
    ("Too many attempts with wrong tokens: try again in a minute."): (
        "틀린 토큰으로 너무 여러 번 시도했어요. 1분 뒤에 다시 시도해 주세요."
    ),
    ("The body is too large: the limit is {most:,} bytes."): ("본문이 너무 커요. {most:,}바이트까지 읽어요."),
    ("There is nothing at this address. /docs lists the routes."): (
        "이 주소에는 아무것도 없어요. 경로는 /docs에 있어요."
    ),
    ("This address answers {methods}."): ("이 주소에서 쓸 수 있는 메서드: {methods}."),
    ("The body is not valid JSON."): ("읽을 수 있는 JSON이 아니에요."),
    ("inputs: at most {most} in one batch."): ("inputs: 한 번에 {most}개까지예요."),
    ("Something on the way to {label} asks for a login ({status}): check the network and the proxy."): (
        "{label}: 가는 길에 로그인이 필요해요({status}). 네트워크와 프록시를 확인해 주세요."
    ),
    ("The base URL for OpenAI's clients ends in /v1: use /v1{path}."): (
        "OpenAI 클라이언트의 기본 URL은 /v1로 끝나요. /v1{path}에 요청해 주세요."
    ),
    ("The request to {label} was closed on its way (499): check the proxy, or use another provider."): (
        "{label}: 요청이 가는 길에 끊겼어요(499). 프록시를 확인하거나 다른 제공자를 써 주세요."
    ),
    ("Available: POST /v1/chat/completions, GET /v1/models and GET /v1/models/<id>."): (
        "쓸 수 있는 주소: POST /v1/chat/completions, GET /v1/models, GET /v1/models/<id>."
    ),
    ("the answer is Markdown; omit response_format or set its type to text"): (
        "답은 마크다운이에요. response_format을 빼거나 종류를 text로 해 주세요"
    ),
    ("not supported; omit it or set tool_choice to none"): ("지원하지 않아요. 빼거나 tool_choice를 none으로 해 주세요"),
    (
        "{label} could not be reached by the service in front of it ({status}): try again later, or check its base URL."
    ): ("{label}: 앞단의 서비스가 연결하지 못했어요({status}). 나중에 다시 시도하거나 기본 URL을 확인해 주세요."),
    (
        "{label} did not accept the request ({status}): check the entries of the model "
        "and its provider in the registry; limit_field, stream_usage, reasoning_effort "
        "and extra_body say what is sent."
    ): (
        "{label}: 요청이 거절됐어요({status}). 레지스트리에서 이 모델과 제공자의 설정을 확인해 주세요. limit_field, "
        "stream_usage, reasoning_effort, extra_body에 따라 보내는 내용이 달라져요."
    ),
    (
        "{label} does not know the model or the address ({status}): check the model's id "
        "in the registry and the provider's base URL."
    ): (
        "{label}: 모델이나 주소를 찾을 수 없어요({status}). 레지스트리에서 모델의 id를, 그리고 제공자의 기본 URL을 확인해 주세요."
    ),
    ("{label} has moved ({status}): check its base URL."): (
        "{label}: 주소가 바뀌었어요({status}). 기본 URL을 확인해 주세요."
    ),
    ("{label} is overloaded ({status}): try again later, or use another provider."): (
        "{label}: 할 일이 너무 많아요({status}). 나중에 다시 시도하거나 다른 제공자를 써 주세요."
    ),
    ("{label} takes no such request at this address ({status}): check the provider's base URL."): (
        "{label}: 이 주소에서는 그런 요청을 받지 않아요({status}). 제공자의 기본 URL을 확인해 주세요."
    ),
    ("{wrong} ({method} {path}).{hint}"): ("{wrong} ({method} {path}).{hint}"),
    ("Settings"): ("설정"),
    ("Compositions"): ("구성"),
    ("Models"): ("모델"),
    ("Store"): ("저장소"),
    ("Exposure"): ("공개 범위"),
    ("Budget"): ("예산"),
    ("{names}"): ("{names}"),
    ("{label}"): ("{label}"),
    ("read from the environment and .env"): ("환경 변수와 .env에서 읽었어요"),
    ("The rule-based stand-in answers, not a language model: set GROQ_API_KEY or FIREWORKS_API_KEY"): (
        "언어 모델이 아니라 규칙 기반 대역이 답해요. GROQ_API_KEY나 FIREWORKS_API_KEY를 설정해 주세요"
    ),
    ("{setting} is very short: is it complete?"): ("{setting}: 매우 짧아요. 빠진 글자가 없는지 확인해 주세요"),
    ("{setting} is set; the provider was not asked"): ("{setting}: 설정되어 있어요. 서버에 묻지는 않았어요"),
    ("cannot be reached: check the network, a proxy and its address"): (
        "연결할 수 없어요. 네트워크, 프록시, 주소를 확인해 주세요"
    ),
    ("does not accept the key in {setting}"): ("키를 받아들이지 않아요: {setting}"),
    ("answers {status}: try again later"): ("응답 {status}: 나중에 다시 시도해 주세요"),
    ("answers"): ("응답해요"),
    ("in memory: a restart loses all runs"): ("메모리에 있어요. 다시 시작하면 모두 사라져요"),
    ("Redis answers, and keeps what it has acknowledged"): ("Redis가 응답하고, 받은 것을 잃지 않아요"),
    ("{path} can be used"): ("{path}: 쓸 수 있어요"),
    ("{path} will be created"): ("{path}: 새로 만들어요"),
    ("{host}: {audience}; names: {names}"): ("{host}: {audience}; 이름: {names}"),
    ("${amount} a day"): ("하루 ${amount}"),
    ("no limit: set SIZZLE_DAILY_BUDGET_USD"): ("한도가 없어요. SIZZLE_DAILY_BUDGET_USD를 설정해 주세요"),
    ("nothing costs money"): ("비용이 드는 것이 없어요"),
}

# HTTP's statuses, which Starlette names in English (RFC 9110 §15)
KOREAN_STATUS: dict[int, str] = {
    400: "잘못된 요청이에요.",
    401: "인증이 필요해요.",
    403: "허용되지 않아요.",
    404: "찾을 수 없어요.",
    405: "이 주소에서는 쓸 수 없는 메서드예요.",
    406: "원하는 형식으로 답할 수 없어요.",
    408: "요청을 기다리는 시간이 지났어요.",
    411: "본문의 길이가 필요해요.",
    413: "본문이 너무 커요.",
    414: "주소가 너무 길어요.",
    415: "이 본문의 형식은 읽을 수 없어요.",
    422: "요청의 내용이 맞지 않아요.",
    426: "다른 프로토콜이 필요해요.",
    429: "요청이 너무 많아요.",
    431: "헤더가 너무 커요.",
    500: "저희 쪽에서 문제가 생겼어요. 다시 시도해 주세요.",
    501: "지원하지 않아요.",
    502: "제공자 쪽에서 문제가 생겼어요. 다시 시도해 주세요.",
    503: "지금은 응답할 수 없어요. 잠시 뒤에 다시 시도해 주세요.",
    504: "제공자의 답이 제때 오지 않았어요. 다시 시도해 주세요.",
}


def language_in(text: str) -> Language:
    """Returns Korean if there is any Hangul in the text, otherwise English."""
    return "ko" if re.search(r"[가-힣]", text) else "en"
