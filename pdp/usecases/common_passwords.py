"""The passwords that guessers try first, case-folded; those too short for any setting left out."""

from typing import Final

_WORDS: Final = """
00000000 000000000000 0123456789 0123456789ab 01234567890 012345678901 0987654321 098765432100
10203040 1029384756 11111111 1111111111 111111111111 11223344 112233445566 1122334455667788
1122334455 12121212 121212121212 123123123 123123123123 123321123321 12341234 123412341234
1234512345 123454321 123456123456 1234567a 12345678 123456789 1234567890 12345678900 12345678901
123456789000 123456789012 1234567890123 12345678901234 123456789012345 1234567890123456 123456789a
123456789abc 1234567890ab 1234567890qwe 123456789qwe 1234567qwertyu 1234abcd 1234qwer 1234qwerasdf
123abc123abc 123qwe123qwe 123qweasd 123qweasdzxc 147258369 147258369000 159753159753 1a2b3c4d
1a2b3c4d5e6f 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y 1q2w3e4r5t6y7u 1q2w3e4r5t6y7u8i 1qaz1qaz 1qaz2wsx
1qaz2wsx3edc 1qaz2wsx3edc4rfv 1qazxsw2 1qazxsw23edc 22222222 222222222222 2wsx3edc 33333333
44444444 55555555 555555555555 66666666 666666666666 77777777 777777777777 87654321 88888888
888888888888 98765432 987654321 9876543210 987654321000 987654321098 99999999 999999999999
a1b2c3d4 a1b2c3d4e5 a1b2c3d4e5f6 a123456789 aa123456789 aaaaaaaa aaaaaaaaaa aaaaaaaaaaaa abc12345
abc123456 abc1234567 abc123456789 abc123abc123 abcabcabc abcabcabcabc abcd1234 abcd12345678
abcdabcd abcdef123456 abcdefgh abcdefghi abcdefghij abcdefghijkl abcdefghijklm access14 adgjmptw
adminadmin adminadminadmin admin123 admin1234 admin12345 admin123456 admin1234567 administrator
administrator1 alexander anthony1 asdasdasd asdasdasdasd asdf1234 asdf12345678 asdfasdf
asdfasdfasdf asdfghjk asdfghjkl asdfghjkl123 asdfghjkl;' asdfjkl; assassin babygirl babygirl1234
barcelona baseball baseball1 baseball1234 basketball basketball1 basketball12 benjamin bigdaddy
blink182 bluebird butterfly butterfly123 california changeit changeme changeme123 changeme1234
changemenow changethis charlie1 charlie12345 chelsea1 chocolate chocolate123 christian christopher
closeyoureyes cocacola computer computer1 computer1234 corvette creative dallascowboys daniel123
default1 defaultpassword demodemo demopassword dictionary dolphins donald123 drowssap dragon12
dragon123 dragon123456 dragondragon einstein elephant elizabeth everton1 facebook facebook1234
ferrari1 firebird football football1 football123 football1234 forever21 formula1 fortnite1234
freedom1 freedom12345 friends1 gandalf1 garfield gfhjkmgfhjkm goodluck1234 google123456 guestguest
hannah123 hellohello hellohellohello hello123 hello1234 hello1234567 helloworld helloworld123
hunter2hunter2 iloveyou iloveyou1 iloveyou12 iloveyou123 iloveyou1234 iloveyou2 iloveyouforever
iloveyousomuch internet internet1234 jennifer jessica1 jonathan jordan23 justinbieber kawasaki
kimberly lastpassword letmein1 letmein123 letmein1234 letmein12345 letmeinnow letmeinplease
liverpool liverpool123 liverpoolfc lovelove lovelovelove loveyou1234 macintosh marlboro maverick
mercedes metallica metallica123 michael1 michael12345 michelle midnight minecraft minecraft123
monkey12 monkey123 monkey1234 monkey123456 monkeymonkey mustang1 mypassword mypassword1
mypassword12 mypassword123 mypassword1234 mysecretpassword newpassword newpassword1 nicholas
nothing1 november11 opensesame p@ssw0rd p@ssw0rd1 p@ssw0rd12 p@ssw0rd123 p@ssw0rd1234 p@ssword
p@ssword123 p@ssword1234 pa$$w0rd pa$$w0rd1234 pa$$word pa$$word1234 pa55word pa55word1234
pass1234 pass12345678 passpass passpasspass passw0rd passw0rd1 passw0rd12 passw0rd123 passw0rd1234
password password! password!123 password!1234 password0 password01 password1 password1! password11
password12 password123 password123! password1234 password1234! password12345 password123456
password12345678 password123456789 password2024 password2025 password2026 password2024!
password2025! password2026! passwordpassword password_123 password@123 password@1234
passwordsecret patricia peekaboo pokemon1 pokemon12345 porsche911 princess princess1 princess123
princess1234 q1w2e3r4 q1w2e3r4t5 q1w2e3r4t5y6 q1w2e3r4t5y6u7 qazwsx12 qazwsx123 qazwsxedc
qazwsxedc123 qazwsxedcrfv qazwsxedcrfvtgb qazxswedc qqqqqqqq qqqqqqqqqqqq qwaszx12 qwer1234
qwer12345678 qwerasdf qwerasdfzxcv qwerqwer qwerqwerqwer qwert12345 qwertasdfg qwerty12 qwerty123
qwerty1234 qwerty12345 qwerty123456 qwerty1234567 qwerty12345678 qwertyqwerty qwertyui qwertyuio
qwertyuiop qwertyuiop1 qwertyuiop12 qwertyuiop123 qwertyuiop[] qwertyuiop1234567890 rainbow1
ronaldo7 samantha samsung1 samsung12345 scorpion secret123 secret123456 secretpassword
secretsecret secure1234 security security1234 september shadow12 shadow123456 slipknot spiderman
spiderman123 starwars starwars1 starwars1234 steelers strawberry summer2024! summer2025!
summer2026! sunshine sunshine1 sunshine123 sunshine1234 superman superman1 superman123
superman1234 superstar swordfish temp1234 temppassword test1234 test12345678 testing1 testing12345
testpassword testtest testtesttest tinkerbell trustno1 trustno1trustno1 undertaker vacation
veronica victoria virginia volleyball welcome01 welcome1 welcome1! welcome12 welcome123
welcome123! welcome1234 welcome12345 welcome123456 welcome2024! welcome2025! welcome2026!
welcomeback welcomewelcome whatever whatever1234 william1 winter2024! winter2025! winter2026!
wolverine xxxxxxxx yankees1 zaq12wsx zaq12wsxcde3 zaq1zaq1 zaq1xsw2 zaq1xsw2cde3 zaqxswcde
zxcvbnm1 zxcvbnm123 zxcvbnm12345 zxcvbnm, zxcvbnm,./ zzzzzzzz correcthorsebatterystaple
correct-horse-battery-staple thisismypassword thisisapassword
"""
COMMON_PASSWORDS: Final = frozenset(_WORDS.split())
