"""Answers by kind: what a judge must leave in doubt, and what it should accept. A line is `gold | answer`, behind the
judge's name where several judges are asked; `\\n` in a cell is the end of a line. Only answers for refusals stand alone."""

# gold stands in these, and is not what they state
CONTAINS_DOUBT = r"""
salt | They were out of salt.
salt | It had run out of salt.
silver | cook's silver
red | brick red
silver | lead with some silver
silver | lead – silver was too soft
silver | It is devoid of silver.
silver | The coin lacks silver.
Vienna | According to an old saying, Vienna.
Vienna | In the view of its critics, Vienna.
Vienna | The question speaks of Vienna
Vienna | Your question contains Vienna.
Vienna | To name Vienna would be to lie.
Vienna | Calling it Vienna was a blunder.
Vienna | the twin town of Vienna
Vienna | The street named after Vienna is Wiener Gasse.
trade in salt | Three trades: sale of cloth, work in wood, and trade in salt.
salt | Three trades: the sale of salt, work in wood, and the making of cloth.
Киев | Наверное, Киев
Αθήνα | ίσως Αθήνα
9 | gate 9
9 | at gate 9
9 | Louis 9
yes | Yes, but scarcely.
resign | re-sign
resign | She wanted to re-sign the contract.
3. 4 | 3, 4
3. 4 | 3; 4
co-op | coop
AT&T | ATT
10 MW | It needs 10 mW.
Vienna | Before 1156 it was Vienna.
Vienna | Dr. Vienna, from Prague
no | No, it did ring.
1920 | ca. 1920
rot | rot oder blau
oxygen | a gas with more oxygen
four | four or five
four | 4 or 5
東京 | 東京ではありません
東京 | 東京か大阪です
東京 | 東京都
東京 | 昔は東京でした、今は京都です
北京 | 不是北京
北京 | 北京或上海
서울 | 서울이 아닙니다
서울 | 서울 또는 부산
Vienna | Vienna is not right.
Vienna | Vienna would be false.
Vienna | Vienna has been ruled out.
Vienna | Vienna lost to Prague.
Vienna | Vienna came second.
Vienna | Vienna is a common misunderstanding.
Vienna | Vienna no longer counts.
Vienna | Vienna seems tempting.
Vienna | Prague, once called Vienna
Vienna | Prague (not to be confused with Vienna)
Vienna | Prague, formerly Vienna.
Vienna | Prague rather than Vienna.
Vienna | Prague beat Vienna.
Vienna | Prague replaced Vienna in 1850.
Vienna | Prague; Vienna is the wrong one.
Vienna | Prague - Vienna
Vienna | Vienna, Prague
Vienna | Vienna and Prague
Vienna | Vienna & Prague
Vienna | Vienna or Prague, I am unsure.
Vienna | Either Vienna or Prague.
Vienna | Vienna vs. Prague
Vienna | - Vienna\n- Prague
Vienna | 1. Vienna\n2. Prague
Vienna | Vienna. Prague.
Vienna | Vienna. No wait, Prague.
Vienna | Vienna! Sorry, I meant Prague.
Vienna | Vienna? No idea.
Vienna | Is it Vienna?
Vienna | Vienna, right?
Vienna | Some people say Vienna.
Vienna | Most would answer Vienna.
Vienna | It is said to be Vienna, which is a myth.
Vienna | It is rumored to be Vienna.
Vienna | I believe it is Vienna.
Vienna | I'd guess Vienna.
Vienna | Possibly Vienna.
Vienna | It might well be Vienna.
Vienna | It was thought to be Vienna.
Vienna | It was supposed to be Vienna.
Vienna | It used to be Vienna.
Vienna | If it were Vienna, he would know.
Vienna | Unless it is Vienna, nothing fits.
Vienna | Not Vienna.
Vienna | Never Vienna.
Vienna | Anything but Vienna.
Vienna | Everywhere except Vienna.
Vienna | It is hardly Vienna.
Vienna | Nobody lives in Vienna.
Vienna | It's false that it is Vienna.
Vienna | I deny that it is Vienna.
Vienna | I doubt that it is Vienna.
Vienna | Nowhere near Vienna.
Vienna | near Vienna
Vienna | a suburb of Vienna
Vienna | the mayor of Vienna
Vienna | north of Vienna
Vienna | outside Vienna
Vienna | like Vienna
Vienna | Unlike Vienna, it is Prague.
Vienna | It is bigger than Vienna.
Vienna | Little Vienna
Vienna | New Vienna
Vienna | Vienna Woods
Vienna | Vienna Philharmonic
Vienna | Vienna sausage
Vienna | Look it up in Vienna: Prague.
Vienna | In Vienna they say Prague.
Vienna | Vienna is where she was born; the answer is Prague.
Vienna | The question mentions Vienna, but it is Prague.
Vienna | If not Prague then Vienna.
York | New York
York | the Duke of York
Turkey | They ate turkey in Greece.
China | fine china from Japan
Reading | reading a book in Bath
August | an august man, in May
US | tell us more: Canada
WHO | who can say
OR | this or that
Mark | mark the place: Luke
Will | he will come with John
Bill | The bill was paid by Ann.
Rose | She rose early with Lily.
can | It can be a tin.
may | She may come.
it | it is Java
7 | 17
7 | 7.5
7 | 7,000
7 | 7 million
7 | 7 percent
7 | 1/7
7 | $7
7 | 7th
7 | 7 or 8
7 | 7-8
7 | from 7 to 9
7 | more than 7
7 | less than 7
7 | about 7
7 | not 7
7 | 7? No, 8.
1914 | 1914-1918
1914 | after 1914
1914 | before 1914
1914 | by 1914 it was over; it began in 1912
1914 | circa 1914
1914 | sometime between 1912 and 1914
1914 | either 1914 or 1915
1914 | 1914 BC, or 1915
yes | Yes and no.
yes | Yes... no, sorry.
yes | Not yes.
yes | yes, no, maybe
yes | Yes? I am not certain.
yes | Yes, it is not.
yes | Well yes, but in truth no.
no | No, it is.
no | No doubt about it.
no | No. It does.
no | no wait, yes
no | No one knows; yes.
no | Nothing says no; the answer is yes.
true | Not true at all.
true | True? False.
true | It is far from true.
false | False alarm: it is true.
false | It is not false.
the attic | It was in the attic until Monday.
the attic | in the cellar, not the attic
the attic | the attic, the cellar, the barn
the attic | The attic. The cellar.
the attic | It is in the attic. It is in the cellar.
the attic | It could be in the attic.
the attic | the attic door
the attic | under the attic? no, the cellar
the attic | Was it in the attic?
the attic | near the attic
a dog | He had a dog or a cat.
a dog | a dog and a cat
a dog | a dog collar
a dog | It was not a dog.
gold | gold leaf or silver
gold | silver, as good as gold
gold | It was silver instead of gold.
Oslo | It isn't Oslo.
Oslo | I would not say Oslo.
Oslo | Nobody said Oslo.
Oslo | neither Oslo nor Bergen
Oslo | anywhere but Oslo
Oslo | all but Oslo
Oslo | Oslo? No.
Oslo | Oslo!? Bergen!
Oslo | Oslo -> Bergen
Oslo | Oslo => Bergen
Oslo | Oslo → Bergen
Oslo | Oslo, no, Bergen
Oslo | Oslo... Bergen
Oslo | Oslo, I mean Bergen
Oslo | first Oslo, then Bergen
Oslo | Oslo until 1850, then Bergen
Oslo | Oslo before the war; Bergen after
Oslo | Oslo has been replaced by Bergen
Oslo | Oslo is one of the candidates
Oslo | Oslo is a city in Norway but the capital is Bergen
Oslo | 'Oslo' is misspelled
Oslo | Question: is it Oslo? Answer: Bergen
Oslo | Oslo: wrong
Oslo | ~~Oslo~~ Bergen
Oslo | Oslo ✗
Oslo | ❌ Oslo
Oslo | "Oslo" is what many would say
Oslo | Oslo-Bergen
Oslo | Oslo Fjord
Oslo | South Oslo
Oslo | the Oslo of the East
Oslo | What about Oslo?
Oslo | Oslo - no
Oslo | Oslo, said nobody
Oslo | Ruling out Oslo, Bergen.
Oslo | Besides Oslo, Bergen.
Oslo | After Oslo, Bergen.
Oslo | Oslo excepted
Oslo | Oslo aside
Oslo | Aside from Oslo
Oslo | Oslo notwithstanding
Oslo | Barring Oslo
Oslo | Oslo failed
Oslo | Forget Oslo
Oslo | Avoid Oslo
Oslo | They left Oslo for Bergen.
Oslo | from Oslo to Bergen
Oslo | on the way to Oslo
Oslo | He never saw Oslo
Oslo | Bergen (Oslo)
Oslo | the fall of Oslo
Oslo | an Oslo suburb
Oslo | Oslo-born
Oslo | Oslo time
Oslo | Oslo, or so they say
Oslo | Oslo, if memory serves
Oslo | Oslo, at a guess.
Oslo | Oslo, I suppose
Oslo | Oslo: 60%, Bergen: 40%
Oslo | Oslo (maybe)
Oslo | Oslo?!
Oslo | The runner up is Oslo
Oslo | The wrong answer is Oslo.
Oslo | The loser is Oslo.
Oslo | It was almost Oslo.
Oslo | It is nearly Oslo.
Oslo | It was going to be Oslo.
Oslo | It was meant to be Oslo.
Oslo | It should have been Oslo.
Oslo | It will one day be Oslo.
Oslo | It ceased to be Oslo.
Oslo | It stopped being Oslo.
Oslo | They refused Oslo.
Oslo | They rejected Oslo.
Oslo | They moved away from Oslo.
Oslo | He lied that it was Oslo.
Oslo | He pretended it was Oslo.
Oslo | She hopes it is Oslo.
Oslo | She wishes it were Oslo.
Oslo | Rumor has it that it is Oslo.
Oslo | Legend has it that it is Oslo.
Oslo | Legend places it in Oslo.
Oslo | Critics favour Oslo.
Oslo | The old maps show Oslo.
Oslo | It resembles Oslo.
Oslo | It competes with Oslo.
Oslo | It differs from Oslo.
Oslo | It borders Oslo.
Oslo | It is no Oslo.
Oslo | It is Bergen; Oslo is second.
Oslo | Bergen. Not Oslo.
Oslo | Bergen, Oslo
Oslo | Bergen/Oslo
Oslo | Bergen or maybe Oslo
Oslo | I am not sure. Oslo.
Oslo | I have no idea, Oslo.
Oslo | Let me guess. Oslo.
Oslo | My best guess is Oslo.
Oslo | Just a guess: Oslo
Oslo | Take Oslo, for example.
Oslo | E.g. Oslo
Oslo | for instance Oslo
Oslo | such as Oslo
Oslo | including Oslo
Oslo | cities like Oslo
Oslo | Oslo, among others
Oslo | Oslo etc.
Oslo | A, B, Oslo, and C
Oslo | The options are Oslo.
Oslo | Oslo is a trap.
Oslo | Oslo is out.
Oslo | Oslo is no more.
Oslo | Oslo is not.
Oslo | Oslo won't do.
Oslo | Oslo isn't.
Oslo | Oslo is nowhere.
Oslo | Oslo was.
Oslo | Oslo was considered.
Oslo | Oslo got votes.
Oslo | Oslo has its fans.
Oslo | Oslo sits in the north.
Oslo | Oslo is bigger.
Oslo | Oslo rhymes with it.
Oslo | Oslo, alas, is not it.
Oslo | Oslo would have been.
Oslo | Oslo came close.
Oslo | Oslo - close, yet not it
Oslo | Oslo, however, is not.
Oslo | Oslo sounds right.
Oslo | Oslo deserves it.
Oslo | Oslo (false)
Oslo | Oslo (incorrect)
Oslo | Oslo (Ohio)
Oslo | Oslo, Ohio
Oslo | Oslo Ohio
Oslo | Mr Oslo
Oslo | oslo bergen
Polish | polish remover: Czech
Nice | a nice day in Cannes
Nice | It is nice in Cannes.
nice | Nice is in France.
Lent | He lent it in March.
Job | It is a job for Moses.
Bath | take a bath in York
Sandy | a sandy beach near Anna
Art | the art of Paul
Frank | To be frank, Tom.
Grace | by the grace of Anne
Mobile | a mobile home in Texas
Chad | a chad on the ballot: Niger
Java | java is coffee; Python
Hope | I hope it is Faith.
Fall | They fall in spring.
Who | Who wrote it? Abba.
Who | Who is it?
I | i think it is II
A | a book by B
THE | the answer is OR
be | It must be so.
do | I do not know what re is.
he | he is a she
5 | 5.0.1
5 | 5,5
5 | 55
5 | 05:30
5 | 5:30
5 | 5/8
5 | 2/5
5 | -5
5 | 5 billion
5 | 5 hundred
5 | five or six
5 | 5+1
5 | 5, 6
5 | 5 and 6
5 | 5 x 2
5 | 5°
5 | €5
5 | #5
5 | No. 5
5 | chapter 5: it was 6
5 | 5 - no, 6
5 | under 5
5 | over 5
5 | at most 5
5 | at least 5
5 | up to 5
5 | nearly 5
5 | around 5
5 | approx. 5
5 | ~5
5 | >5
5 | 5?
5 | 5ish
5 | 4.5 to 5
5 | between 4 and 5
5 | 5 of 6 say 4
5 | minus 5
5 | 5 million people
5 | 5 dozen
5 | 5 and a half
5 | 5 1/2
1920 | the 1920s
1920 | 1920s
1920 | since 1920
1920 | c. 1920
1920 | not in 1920
1920 | before 1920
1920 | prior to 1920
1920 | until 1920
1920 | 1920 or later
1920 | 1920-21
1920 | 1920/21
1920 | in 1919, not 1920
1920 | 1919 (not 1920)
1920 | It ended in 1920 and began in 1910.
1920 | from 1920 to 1930
1920 | It was planned for 1920 but opened in 1925.
1920 | 1920 dollars
1920 | early 1920
1920 | no earlier than 1920
yes | no, yes
yes | Yes? No.
yes | yes and no
yes | Yes, I think so? Not sure.
yes | Yes, maybe
yes | Yes is wrong.
yes | yesterday
yes | Oh yes they said, but it is false.
yes | Not exactly yes.
yes | It's a no. Yes?
yes | Yes/No
yes | yes or no
yes | Yes. Or no.
yes | Yes if it rains.
yes | Yes, though rarely
yes | Yes (no)
yes | Yes-no question
yes | Yes, that's incorrect.
yes | Yes, we have no bananas.
no | No, yes.
no | No way to deny it: yes.
no | no less than yes
no | No question: yes
no | No? Yes!
no | No/Yes
no | No problem.
no | No more than that.
no | No, of course it is.
no | No, that is right, it does.
no | No. Actually it does.
no | No, I was wrong, it is.
no | No. Correct.
no | not no
no | Nope... yes
true | True, but false in part.
true | untrue
true | True/False
true | true or false
true | It can't be true.
true | True? I doubt it.
true | True love
true | It would be true if it rained.
true | True North
false | False positive
false | Not false.
false | False start; true.
false | false? true.
false | That's a false claim? True.
a cat | He likes cats. It is a dog.
a cat | not a cat
a cat | a cat burglar
a cat | a cat, a dog
a cat | a cat or dog
a cat | a dog, though a cat was there
a cat | a cat? a dog
a cat | anything but a cat
a cat | It looks like a cat.
a cat | It is bigger than a cat.
a cat | as big as a cat
a cat | He wanted a cat but got a dog.
a cat | He thought it was a cat.
a cat | He asked for a cat. He got a dog.
a cat | a cat - no, a dog
a cat | If a cat, then no dog.
a cat | a fake cat
a cat | Who has a cat?
the red one | the red one or the blue one
the red one | the red one, then the blue one
the red one | It is the blue one, not the red one.
the red one | He first took the red one, then the blue one.
silver | It was once silver.
silver | silver or gold
silver | silver-plated
silver | quicksilver
silver | silver? gold.
silver | not silver but gold
silver | gold (not silver)
silver | It is dearer than silver.
Bern | Bern is off the table.
Bern | Bern has no claim to it.
Bern | Bern was scrapped.
Bern | Bern? Hardly.
Bern | Bern is just the second choice.
Bern | Bern comes after Basel.
Bern | Bern gave way to Basel.
Bern | It moved from Bern to Basel.
Bern | Basel succeeded Bern.
Bern | Basel, as distinct from Bern
Bern | Basel, not far from Bern
Bern | Basel; not Bern
Bern | Basel. (Bern is wrong.)
Bern | Basel (ex-Bern)
Bern | ex-Bern
Bern | Basel, a rival of Bern
Bern | Basel lies north of Bern.
Bern | Basel is older than Bern.
Bern | Basel was preferred to Bern.
Bern | Everyone says Bern, yet it is Basel.
Bern | People often confuse it with Bern.
Bern | A common answer is Bern, which is incorrect.
Bern | The former answer was Bern.
Bern | The expected answer would be Bern.
Bern | The student wrote Bern.
Bern | The key says Bern; that is an error.
Bern | I was told Bern.
Bern | He suggested Bern.
Bern | Let's say Bern.
Bern | Say Bern.
Bern | Try Bern.
Bern | Consider Bern.
Bern | Bern comes to mind.
Bern | Bern, presumably.
Bern | Bern or thereabouts
Bern | Bern-ish
Bern | Bern/Basel
Bern | Bern|Basel
Bern | Bern + Basel
Bern | Bern; Basel
Bern | Bern: Basel
Bern | Bern (Basel)
Bern | Bern [Basel]
Bern | Bern - Basel
Bern | Bern then Basel
Bern | Bern as well as Basel
Bern | Bern, also Basel
Bern | both Bern and Basel
Bern | Bern, Basel, Chur
Bern | 1) Bern 2) Basel
Bern | a) Bern b) Basel
Bern | Bern. Basel? Bern.
Bern | Bern 50%, Basel 50%
Bern | Bern it isn't.
Bern | Bern it is not.
Bern | No, not Bern.
Bern | Nope, Bern is wrong
Bern | Never has it been Bern.
Bern | In no way is it Bern.
Bern | By no means Bern.
Bern | It ain't Bern.
Bern | It wasn't Bern.
Bern | It can't have been Bern.
Bern | It is impossible that it is Bern.
Bern | It would be wrong to say Bern.
Bern | It is incorrect to say Bern.
Bern | Contrary to belief, it is not Bern.
Bern | Bern is a myth.
Bern | Had it been Bern, we would know.
Bern | Were it Bern, we would know.
Bern | Suppose it is Bern.
Bern | Assume Bern.
Bern | In case it is Bern, tell me.
Bern | Is the answer Bern?
Bern | Could it be Bern?
Bern | Why Bern?
Bern | Who said Bern?
Bern | Bern, isn't it?
Bern | isn't it Bern?
Bern | Bern's mayor
Bern | Bernese
Bern | Upper Bern
Bern | Bern Switzerland's rival
Bern | the road to Bern
Bern | the train from Bern
Bern | close to Bern
Bern | around Bern
Bern | beyond Bern
Bern | behind Bern
Bern | opposite Bern
Bern | without Bern
Bern | minus Bern
Bern | except for Bern
Bern | apart from Bern
Bern | instead of Bern
Bern | in place of Bern
Bern | rather than Bern
Bern | as opposed to Bern
Bern | compared to Bern
Bern | unlike Bern
Bern | outside of Bern
Bern | the twin of Bern
Bern | the antithesis of Bern
Bern | the enemy of Bern
Bern | the shadow of Bern
Bern | half of Bern
Bern | part of Bern
Bern | none of Bern
Bern | anything outside Bern
Bern | It was Bern in 1800. Now it is Basel.
Bern | Once Bern. Now Basel.
Bern | It was Bern. It is Basel.
Bern | Answer: Bern\nAnswer: Basel
Bern | Bern\n\nActually, Basel.
Bern | Bern.\nExplanation: the capital is Basel.
Bern | Bern\nEdit: Basel
Bern | <del>Bern</del> Basel
Bern | ~~Bern~~
Bern | "Bern"? No!
Bern | Not sure... Bern
Bern | hmm, Bern, or not
Bern | I'd go with Bern
Bern | My answer: not Bern
Bern | My money is on Bern
Bern | Bern, if I had to choose
Bern | Bern, I think.
Bern | Bern, maybe
Bern | Bern (unsure)
Bern | Bern (guess)
Bern | Bern (not certain)
Bern | It's either Bern
Bern | BERN IS WRONG
Will | Will it rain in Bath?
May | They may go in June.
may | May is in spring.
Mark | He will mark it: Luke.
Victoria | a victoria plum in Kent
Lima | lima beans from Quito
Turkey | a turkey in Greece
China | the china is Dutch
Georgia | georgia is a font
Amazon | amazon warriors of Troy
Apple | an apple from Dell
Orange | an orange from Avignon
IT | is it HR?
US | give us Canada
WHO | the man who fell: UNICEF
AIDS | he aids UNICEF
SAT | she sat the ACT
NO | there is no SO
ON | it is on BC
3 | 3.14
3 | 3rd
3 | 13
3 | 3:3
3 | 3/4
3 | 3%
3 | £3
3 | 3 thousand
3 | 3 and 4
3 | three or four
3 | 3? 4.
3 | 2, 3 or 4
3 | not 3 but 4
3 | 3 to 1
3 | 1-3
3 | 3+
3 | <3
3 | 3ish
3 | more than 3
3 | at least 3
3 | 3 at most
3 | 3 or more
3 | maybe 3
3 | It was 3; now it is 4.
3 | 3 of them are wrong; it is 4
1999 | 1999 or 2000
1999 | in the late 1990s, 1999 or so
1999 | after 1999
1999 | no later than 1999
1999 | since 1999
1999 | from 1999
1999 | 1999?
1999 | not before 1999
1999 | between 1990 and 1999
1999 | 1998-1999
1999 | 1999 was the year after; it was 1998
1999 | 1999 (wrong)
yes | The answer is not yes.
yes | I can't say yes.
yes | Yes, said he; wrong.
yes | Yesno
yes | Yes, it isn't.
yes | Yes, never.
yes | Yes and then no
yes | yes, or rather no
no | No... well, yes.
no | Nothing but yes: no wonder
no | No! Yes!
no | No, it was. Yes.
no | No matter what, yes
no | No, indeed it is.
no | no, they are
true | true?
true | True, or false
true | True is wrong.
true | True for A, false for B
true | The statement is not true.
false | It is false that it is false.
false | false, i.e. true
false | The statement is false? No.
Lisbon | Lisbon was considered, then Porto was chosen.
Lisbon | Lisbon, Portugal's capital, hosted it; no, that was Porto.
Lisbon | One might say Lisbon.
Lisbon | Lisbon is what my brother would say.
Lisbon | The answer isn't Lisbon but Porto.
Lisbon | Porto (Lisbon came later).
Lisbon | Porto instead of Lisbon.
Lisbon | Had it been Lisbon, we would know.
Lisbon | Lisbon: false.
Lisbon | Lisbon = wrong
Lisbon | Lisbon, Ohio
Lisbon | New Lisbon
Lisbon | the Lisbon Treaty
Lisbon | Lisbon??
Lisbon | A: Lisbon B: Porto
1783 | The bridge was opened in 1783, but the exact year is uncertain.
1783 | from 1783 to 1790
1783 | before 1783
1783 | after 1783
1783 | 1783 BC
1783 | 1783 or thereabouts
no | Nope.
no | It is not.
no | No. It does, though.
yes | Yes? I doubt it.
true | True or false?
June | The June bug
Mark | mark my words: Luke
US | Tell us: China
12 | 12.5
12 | 12,000
12 | -12
12 | 12th
Marie Curie | It was discovered by Marie Curie's husband.
Marie Curie | Marie Curie's daughter
hydrogen | The balloon was not filled with hydrogen.
hydrogen | Without hydrogen
hydrogen | The balloon would be filled with hydrogen if it were cheap.
hydrogen | They claimed the balloon was filled with hydrogen.
hydrogen | helium or hydrogen
Vienna | Die Hauptstadt ist nicht Vienna.
Vienna | Ce n'est pas Vienna.
Vienna | Non è Vienna.
Vienna | Não é Vienna.
Vienna | Het is niet Vienna.
Vienna | Vielleicht ist es Vienna.
Vienna | Talvez é Vienna.
Vienna | Das ist früher Vienna.
no | No. 7
no | No. 12 says yes.
1850 | It was built 1850 years ago.
"""

# these state gold
CONTAINS_RIGHT = r"""
salt | It is carved out of salt.
Vienna | Final answer: Vienna
Vienna | According to the text, it's Vienna.
Vienna | C'est Vienna.
Киев | Это Киев.
silver | It is made of silver.
1850 | It was sold in May 1850.
resign | He had to resign.
four | The answer is 4.
4 | There are four.
Mr. Vane | It was Mr. Vane.
東京 | 東京です。
東京 | 答えは東京です。
東京 | 「東京」
北京 | 答案是北京。
서울 | 서울입니다.
Wien | Es ist Wien.
Vienna | Vienna
Vienna | Vienna.
Vienna | It is Vienna.
Vienna | The capital of Austria is Vienna.
Vienna | The answer is Vienna.
Vienna | **Vienna**
Vienna | According to the text, she was born in Vienna.
Vienna | She was born in Vienna, as the text says.
Vienna | She lived in Vienna from 1850 to 1860.
Vienna | The treaty was signed in Vienna in March 1815.
Vienna | in Vienna
Vienna | Answer: Vienna
Vienna | Based on the passage, the city is Vienna.
Ada Thorne | The engineer was Ada Thorne.
Ada Thorne | It was built by Ada Thorne.
Ada Thorne | The tower was designed by Ada Thorne, who also built the pier.
Ada Thorne | Her name was Ada Thorne.
1914 | It began in 1914.
1914 | The war began in the year 1914.
1914 | In 1914, the war began.
1914 | The answer is 1914.
7 | There are 7 of them.
7 | The answer is 7.
7 | It has 7 rooms.
12% | It grew by 12% that year.
5 km | The path is 5 km long.
the attic | The lamp is in the attic.
the attic | in the attic
the attic | She keeps it in the attic, next to the stairs.
a dog | She has a dog.
gold | The ring is made of gold.
photosynthesis | Plants make sugar by photosynthesis.
steam | The wheel is driven by steam.
a red bicycle | He bought a red bicycle for his sister.
yes | Yes.
yes | Yes, it does.
yes | Yes, the lamp is in the attic.
no | No.
no | No, it isn't.
no | No, the lamp is not in the attic.
true | True.
true | The statement is true.
false | False.
false | False, the lamp is in the cellar.
Lisbon | Lisbon
Lisbon | The treaty was signed in Lisbon.
Lisbon | It was in Lisbon that the treaty was signed.
Lisbon | **Lisbon**
Lisbon | Answer: Lisbon.
Lisbon | They met in Lisbon, which is on the Tagus.
1783 | In 1783.
1783 | The bridge was opened to traffic in 1783.
yes | Yes, it is.
false | That's false.
12 | There were 12 of them.
Marie Curie | It was discovered by Marie Curie in Paris.
a violin | He played the violin.
green tea | The guests were served green tea in the garden.
hydrogen | The balloon was filled with hydrogen.
Vienna | Die Hauptstadt ist Vienna.
Vienna | La capital es Vienna.
Vienna | La capitale est Vienna.
Vienna | La capitale è Vienna.
Vienna | De hoofdstad is Vienna.
Osric Vane | It was Osric Vane, a miller.
false | This claim is false.
true | That statement is true.
"""

# gold is no single number, or the answer's number isn't gold's, or there are two
NUMERIC_DOUBT = r"""
18 | The answer is 18.\n\nStep by step: 16 - 3 - 4 = 9. 9 * 2 = 20. So she makes $20 every day.
18 | #### 18\nSo the total is 20.
18 | Answer: 18\nThe total is 20.
18 | \boxed{18}. Therefore Janet makes 20 dollars.
18 | The result is 18. In all, she has 20 eggs left.
18 | So 2x = 18.
18 | \boxed{x - 2 = 18}
18 | 3 + x = 18
18 | -x = 18
18 | x/2 = 18
18 | Total - 5 = 18
18 | price / 2 = 18
18 | 2 * price = 18
18 | 5 + her age = 18
18 | x^2 = 18
1 | 1. She sells the eggs at the market.
1 | 1. x
1 | 1) The eggs are sold.
18 | 18 grand
18 | 18 thou
18 | 18 mil
18 | 18 mln
18 | 18 subtracted from 20
18 | 18 r5
18 | 18₁₆
9 | 9 is a square number.
9 | gate 9
9 | It is at gate 9.
9 | Boeing 9
9 | 9 was too many.
9 | 9 is odd
9 | the number after 9
9 | 9 per 10
9 | The answer is 9. The answer is 6.
9 | The result is 9, or so I thought: the result is 6.
1200 | twelve hundred and one
(2, 7) | (4, 7)
[2, 7] | [1, 7]
{2, 7} | {7}
7\sqrt{2} | 2
\sqrt{49} | 49
\sqrt[3]{8} | 8
7\pi | 7
\frac{\pi}{2} | 2
7i | 7
4 + 7i | 3 + 7i
x + 7 | y + 7
2x = 7 | 3x = 7
\pm 7 | 7
7 or 9 | 9
7 and 9 | 9
x = 2, y = 7 | x = 3, y = 7
7 dozen | 7
7K | 7
7 million | 7
7 kg 3 g | 5 kg 3 g
7 hours 30 minutes | 6 hours 30 minutes
7:30 | 6:30
7:2 | 5:2
7 m^2 | 5 m^2
7 m/s^2 | 5 m/s^2
70 cm3 | 50 cm3
7,5 kg | 6,5 kg
7 500 | 500
10⁷ | 10²
7e300 | 7
(7) | 7
7! | 7
log_2 7 | 7
x > 7 | x < 7
7 < x < 9 | 5 < x < 9
2^7 | 7
7th | 7
7/2/2020 | 5/2/2020
0.\overline{7} | 7
7 | 7 or 9
7 | either 7 or 8
7 | 7 and 9
7 | 7, 9
7 | 7-9
7 | from 5 to 7
7 | between 7 and 9
7 | not 7
7 | The answer is not 7.
7 | It isn't 7.
7 | maybe 7
7 | I guess 7
7 | at least 7
7 | about 7
7 | more than 7
7 | 7?
7 | 7 1/2
7 | 7.5
7 | 7⅜
7 | 7½
7 | 1/7
7 | -7 °C
7 | 7\pi
7 | 7\sqrt{2}
7 | 7i
7 | 7x
7 | 7:30
7 | 7:2
7 | 7²
7 | 7^2
7 | 7 squared
7 | 7 million
7 | 7 dozen
7 | 7M
7 | 7k
7 | 7/8
7 | (3, 7)
7 | [3, 7]
7 | \{3, 7\}
7 | 3 ft 7 in
7 | x = 3 and y = 7
7 | #### 7\nWait, it should be 9.
7 | #### 7\n#### 9
7 | \boxed{7} or \boxed{9}
7 | Answer: 7\nAnswer: 9
7 | The answer is 7. Actually, it is 9.
7 | If she had 3 more, the answer is 7.
7 | I don't think the answer is 7.
7 | H7
7 | 3 x 7
7 | 14 - 7
7 | 7 and a half
7 | 7 thirds
7 | seven or eight
7 | no 7
7 | It took 9 days. She had 7.
1000 | 1.000
1.125 | 1,125
1125 | 1.125
5 | 5 hundred
20% | 20
0.2 | 0.2%
7 | 7..9
7 | 7‰
7 | 7-ish
7 | 7ish
7 | 7+
7 | twice 7
7 | half of 7
7 | double 7
2 | 2 times 7
7 | 2 times 7
7 | 7 plus 2
7 | 7 by 9
7 | 7'6
7 | 7 or so
7 | 7 (approx.)
7 | ≈7
7 | >7
7 | ≤ 7
7 | <7
7 | 7 to 9
7 | seven to nine
7 | 07:00
7 | 7.9.2020
7 | 7,9,11
7 | 7;9
7 | 7 & 9
7 | 7 vs 9
7 | If it rains, 7.
7 | She said 7 or 9.
7 | It should be 7, maybe.
7 | A: 7 or 9
7 | #### 7 or 9
7 | \boxed{7 \text{ or } 9}
7 | \boxed{7, 9}
7 | \boxed{x+7}
7 | \boxed{7x}
7 | \boxed{7}. No, \boxed{9}.
7 | Answer: 7 - x
7 | The answer is x^7.
7 | The answer is 7 or 9.
7 | The answer is between 5 and 7.
7 | The answer was 7 but is now 9.
7 | My guess is 7.
7 | The answer isn't 7.
7 | The result is 7e.
7 | 7m2n
7 | A7
7 | log 7
7 | sin(7)
7 | 7°30'
7 | 7 1/3
7 | -(7)
7 | 7C2
7 | 7 choose 2
7 | 5 < 7
7 | 7 = 9
7 | 9 = 7 + 2
7 | 3 + 4
7 | 14/3
7 | 0.7
7 | .7
7 | 7.000.000
7 | 7 lakh
7 | 7 bn
7 | seventy
7 | seven hundred
7 | seventeen
7 | a seventh
7 | seven eighths
7 | #### 9\nThe answer is 7.
7 | The answer is 9. The answer is 7.
7 | Answer: 9\n\nCheck: the answer is 7.
7 | It was 9 at first. It is 7 in May.
12 | 12:00
12 | 1 2
12 | 1,2
12 | 12 dozen
12 | 12th
12 | 12 noon or midnight
12 | 3x4
12 | 3·4
12 | 24/2 or 13
50% | 50
50% | 0.05
50% | 5%
1/2 | 2
1/2 | 1
1/2 | 1/3
2.5 | 25
2.5 | 2,55
3,000 | 3
3,000 | 300
1.500 | 15
-7 | 7 °C
-7 | +7
7 | −7
7 | – 7 and 9
100 | 1e3
100 | 10^3
100 | 10 x 10
48 | -48
48 | 48k
48 | 48,5
48 | 1/48
48 | 48/2
48 | 48 or 49
48 | about 48 to 50
48 | 48^2
48 | 48x
48 | \sqrt{48}
48 | not 48
48 | 48 thousand
48 | 480
48 | 4 8
48 | #### 48 #### 50
48 | \boxed{48} \boxed{50}
48 | 12:48
2,500 | 2.5
2,500 | 500
2500000 | 2.5 billion
0.5 | 5
3 | \frac{3}{2}
5\sqrt{2} | 2
6 \pi | 6
9:30 | 9
15 | 15 apples and 3 pears
15 | XV
8 | 8!
8 | x = 8!
8 | [8]
8 | \{8\}
8 | x =/= 8
8 | x != 8
8 | 8 mod 11
8 | 8 \pmod{11}
8 | the cube root of 8
8 | The answer is the square root of 8.
8 | a multiple of 8
8 | the reciprocal of 8
8 | Step 8
8 | Question 8
8 | I don't know. 8
8 | I can't answer this. The answer is 8.
8 | about \boxed{8}
8 | I get more than \boxed{8}.
8 | It is probably $\boxed{8}$.
$8 | 8%
8% | $8
$8 | 8 cents
$8 | 8 euros
1/2 | 1/2 of 8
20% | 20% of 50
1/2 | one half of 8
3/4 | -\frac{3}{4}
-3/4 | -\frac{-3}{4}
8 | <answer>8</answer> or rather <answer>9</answer>
"""

# gold's number in other writing
NUMERIC_RIGHT = r"""
18 | The answer is 18. 16 - 3 - 4 = 9 and 9 * 2 = 18.
18 | #### 18\nSo the total is 18.
18 | The answer is 18. She had 16 eggs. So she makes $18.
18 | 16 eggs - 7 eggs = 9 eggs. 9 x 2 = 18
18 | x = 36/2 = 18
18 | So 3 x 6 = 18
18 | 1. She has 16 eggs.\n2. She eats 3.\n3. So she sells 18.
18 | 1) 16-7=9\n2) 9*2=18
36 | 12 miles/hour * 3 hours = 36 miles
35 | $5/day * 7 days = $35
8 | 5 m + 3 m = 8 m
20 | 10-foot board * 2 = 20 feet
18 | Let x be it. 2x = 36. x = 18.
18 | Total = $5 + $13 = $18
9 | In total 9
9 | 9 is the answer.
9 | 9 are left.
9 | The answer is 9, so the result is 9.
60 | She sold 40/2 = 20 in May. In all 40+20 = 60 cards.
60 | The sum is 60 (40 in April, 20 in May).
2000 | 2·10³
2000 | 2 × 10^3
2000 | 2e3
2000 | 2 thousand
2000 | 2k
2000 | 2,000
2000 | 2'000
2000 | 2 000
2000 | 2{,}000
2000 | $2\,000$
2000 | 2.000,00
2000 | 2,000.00
2000 | two thousand
2500000 | 2.5 million
2500000 | 2.5M
2500000 | 25,00,000
0.5 | 0,5
0.5 | ½
0.5 | 50%
0.5 | \dfrac{1}{2}
0.5 | \frac12
0.5 | 1/2
75% | 0.75
75% | 75 %
75% | 75 percent
12 | twelve
12 | **12**
12 | `12`
12 | 12.
12 | 12.0
12 | +12
12 | = 12
12 | x = 12
12 | The answer is 12 dollars.
12 | She has 12 apples left.
12 | 12 apples
12 | $12
12 | €12
12 | 12 USD
12 | 12 m/s
12 | 12 m²
12 | 12 cm^3
12 | 12 kg
12 | 12kg
12 | 12 °F
12 | \boxed{12}
12 | \boxed{12 \text{ m}^3}
12 | \boxed{\$12}
12 | $\boxed{12\%}$
12 | The final answer is $\boxed{12}$. I hope it is correct.
12 | #### 12
12 | #### 12.00
12 | #### 12 apples
12 | #### 12 (3 x 4)
12 | A: 12
12 | **Answer:** 12
12 | Answer: 12, because 3 * 4 = 12
12 | Answer: 12 eggs in 4 boxes
12 | The answer is 12 [3].
12 | The answer is 12 (twelve).
12 | 12 of the 30 children
12 | 12 out of 30
12 | 3 * 4 = 12
12 | 3 * 4 = 12 eggs
12 | So there are 3 * 4 = 12 eggs in 3 boxes.
12 | There are 3 boxes. Each has 4 eggs. So there are 12 eggs.
12 | y=12 since 24/2=12
12 | 12/1
12 | \text{12}
12 | \mathbf{12}
-3 | minus three
-3 | negative 3
-3 | −3
-3 | -3.0
-3 | (-3)
-3 | The temperature is -3 °C.
2.5 | 2 1/2
1.5 | 3/2
1.5 | 1½
1.5 | 1.50
100 | 10²
100 | one hundred
100 | a hundred
21 | twenty-one
0 | 0
0 | Zero apples
48 | 48
48 | She has 48 marbles left.
48 | 48 marbles
48 | \boxed{48}
48 | #### 48
48 | $48.00
48 | The total is 6 x 8 = 48.
48 | 48.
48 | forty-eight
48 | 4.8e1
2,500 | 2500
2,500 | 2 500
2,500 | 2.5 thousand
0.5 | .5
3 | \frac{6}{2}
15 | fifteen
-3/4 | -\frac{3}{4}
-3/4 | -\frac34
-3/4 | The slope is $-\dfrac{3}{4}$.
0.5 | one half
0.75 | three quarters
2/3 | two-thirds
8 | <answer>8</answer>
8 | <answer> 8 eggs </answer>
8 | The answer is 8!
8 | She has 8 eggs!
$8 | 8 dollars
8 | 8 cents
18 | Step 3: The total is 18.
8 | Hence the answer is $\boxed{8}$.
8 | If each box holds 4 eggs, then there are \boxed{8} eggs.
"""

# the same words in SQuAD's normal form, or nearly, and another answer
EXACT_DOUBT = r"""
exact | NI | Ni
squad | HF | Hf
exact | .7 | 7
squad | .7 | 7
exact | g(4) | g4
squad | b[2] | b2
exact | {3} | 3
exact | y'' | y'
exact | 6″ | 6′
exact | PET | pet
squad | GIFT | gift
exact | it's | its
exact | re-cover | recover
exact | 3. 4 | 3, 4
exact | were | we're
exact | R&D | RD
exact | 5 MW | 5 mW
exact | a.b | ab
squad | 3 to 5 | 5 to 3
squad | Anna beat Bertha | Bertha beat Anna
exact | C# | C
exact | C++ | C
exact | C | C#
exact | F# | F
exact | A+ | A
exact | O- | O+
exact | .NET | net
exact | x < 5 | x > 5
exact | x = 5 | x ≠ 5
exact | p <= 0.1 | p >= 0.1
exact | 5% | 5
exact | €5 | $5
exact | 5°C | 5 C
exact | 2:3 | 23
exact | 1.5 | 15
exact | 1/2 | 12
exact | -4 | 4
exact | 2^3 | 23
exact | x² | x2
exact | 10:30 | 1030
exact | 1e3 | 1e-3
exact | +4 | -4
exact | UP | up
exact | IT | it
exact | WHO | who
exact | A | B
exact | A | the
exact | Vitamin A | Vitamin
exact | Plan A | Plan
exact | un-American | American
exact | Vienna | Vienna?
exact | non-linear | linear
squad | C# | C++
squad | 2.5 | 25
squad | -9 | 9
squad | 3:1 | 31
squad | x >= 2 | x <= 2
squad | $9 | 9%
squad | DO | do
squad | Hepatitis A | Hepatitis
squad | the treaty was signed by the king in the old town hall | the treaty was not signed by the king in the old town hall
squad | the treaty was signed by Anna in the old town hall at noon | the treaty was signed by Bertha in the old town hall at noon
squad | it rained for 3 days over the hills and the wide valley | it rained for 4 days over the hills and the wide valley
squad | the red house behind the old mill by the river bank | the blue house behind the old mill by the river bank
squad | non-smoking | smoking
squad | CO2 | CO
exact | e^x | ex
exact | a/b | ab
exact | x_1 | x1
exact | ~5 | 5
exact | #3 | 3
exact | A* | A
exact | 10^6 | 106
exact | m/s | ms
exact | 1,5 | 15
exact | 2.0 | 20
exact | 0.05 | 005
exact | -0.5 | 0.5
exact | +5 | -5
exact | 5+ | 5-
exact | 10% | 10
exact | €10 | 10
exact | 10 € | 10 $
exact | < 5 | > 5
exact | ≤5 | ≥5
exact | a<b | a>b
exact | a=b | ab
exact | 3-2 | 32
exact | 3:2 | 3.2
exact | 2024-01-02 | 20240102
exact | 1/4 | 14
exact | 192.168.0.1 | 19216801
exact | v1.2 | v12
exact | not guilty | guilty
exact | Type A | Type
exact | Group A | group
exact | A | An
exact | IS | is
exact | IN | in
exact | H2SO4 | H2SO3
exact | Na+ | Na
exact | Na+ | Na-
exact | F♯ | F
exact | 5° | 5
exact | 5'6" | 56
exact | Paris | Paris?
squad | 1e6 | 1e-6
squad | 7:30 | 730
squad | >= 3 | <= 3
squad | IT | it
squad | A+ | A
squad | pre-war | war
squad | -40 | 40
squad | the man who did it | the man who did not do it
squad | Henry VIII of England who married Anne Boleyn in London town | Henry VII of England who married Anne Boleyn in London town
squad | all of the seven members of the crew of the ship survived | none of the seven members of the crew of the ship survived
squad | the left bank of the river near the old stone bridge there | the right bank of the river near the old stone bridge there
exact | x >= 2 | x <= 2
exact | 5 °C | 5 °F
exact | 5 kg | 5 g
exact | €20 | $20
exact | 50% | 50
exact | 3-4 | 34
squad | un-American | American
squad | 2.0 | 20
squad | 10^3 | 103
squad | -3 °C | 3 °C
squad | AT&T | AT T
squad | Müller | Muller
exact | !x | x
exact | &x | x
exact | *args | args
exact | a != b | a = b
exact | a\|b | ab
exact | x-y | xy
exact | (2, 3] | (2, 3)
exact | [2, 3] | (2, 3)
exact | {2, 3} | [2, 3]
exact | 6' | 6"
exact | ♠ | ♥
exact | ← | →
squad | A | the
squad | A | an
squad | [2, 3] | (2, 3)
squad | nine monks went up the long road to the stone mill | nine monks went down the long road to the stone mill
squad | the long war in the east of the old country | before the long war in the east of the old country
"""

# the same answer in other writing
EXACT_RIGHT = r"""
exact | UK | uk
exact | NATO | nato
exact | YES | yes
exact | NEW DELHI | New Delhi
exact | UNESCO | Unesco
squad | .7 | .7
exact | g(4) | g(4).
exact | Bo (Lund) | Bo Lund
exact | U.S. Army | US Army
exact | 4 July 1776 | 4 July, 1776
exact | 5 MW | 5 MW.
exact | B | B.
exact | C | c
exact | A | (a)
exact | A | (A)
exact | The | the
exact | the cellar | Cellar
exact | St. Mary's | st marys
exact | Vienna | VIENNA
exact | Vienna | vienna.
exact | “Vienna” | "Vienna"
exact | Ada’s house | Ada's house
exact | 1939—1945 | 1939-1945
exact | Zürich | Zürich
exact | Ｖienna | Vienna
exact | 北京 | 北京。
exact | दिल्ली | दिल्ली।
exact | القاهرة | القاهرة؟
exact | القاهرة | القاهرة.
exact | Madrid | ¡Madrid!
exact | C++ | C++
exact | C# | c#
exact | 12,500 | 12500
exact | ¼ mile | ¼ mile
exact | p < 0.01 | p < 0.01
exact | 5% | 5%
exact | 5 | 5.
exact | -4 | −4
exact | The Who | the who
squad | the old mill | old mill
squad | Vienna | Vienna.
squad | 7,000 | 7000
squad | naïve | naïve
squad | ¾ cup | ¾ cup
squad | 10th and 11th centuries | in the 10th and 11th centuries
squad | C++ | C++
squad | 东京塔 | 东京塔。
squad | A | (A).
exact | AT&T | at&t
exact | O'Neill | oneill
exact | $1,000 | $1000
exact | Côte d’Ivoire | Côte d'Ivoire
exact | e-mail | email
exact | The Beatles | beatles
exact | U.S. | US
exact | New York | new york!
exact | 1,000,000 | 1000000
exact | Tōkyō | Tōkyō
exact | 서울 | 서울.
exact | ¿Qué? | Qué
exact | «Paris» | Paris
exact | Москва | москва
exact | Αθήνα | Αθήνα.
exact | B | (B)
exact | B | b)
exact | 3.14 | 3.14.
squad | the Eiffel Tower | Eiffel Tower.
squad | naïveté | Naïveté
squad | 北京大学 | 北京大学。
squad | the big red house on the hill | big red house on the hill
squad | in 1066 | in 1066.
exact | Zürich | Zürich
exact | naïve | naïve
exact | “Hamlet” | "Hamlet"
exact | the end | The End
squad | the river Thames | river Thames
squad | 1,000 | 1000
exact | x>3 | x > 3
exact | x <= 3 | x<=3
exact | Ada Thorne | *Ada Thorne*
exact | Ada Thorne | **Ada Thorne**
exact | the 1790s | "the 1790s"
exact | 1790 | "1790"
exact | (2, 3) | (2, 3).
exact | T-shirt | t-shirt
exact | Hello! | Hello
exact | Osric & Sons | Osric & Sons.
squad | A | A.
squad | A | (A)
"""

# gold looks like a refusal, and the answer is one
LIKE_REFUSALS = r"""
exact | I Don't Know | I don't know.
squad | I Don't Want to Know | The passage does not say.
contains | We cannot tell a lie. | The text doesn't mention that.
squad | Nobody knows who built it. | I don't know.
exact | It is not known to the public. | Unknown.
contains | The Unanswered Question | unanswerable
squad | We don't have your parcel, please ask the post office. | I can't find it.
exact | I cannot answer the phone before noon. | I cannot answer.
squad | The king could not answer. | Cannot be answered.
contains | No one can say where he went. | It cannot be determined.
exact | They said that they did not know him. | I do not know.
squad | The law does not mention women. | The passage does not mention it.
contains | Nothing is known about her youth. | Not known.
exact | Unknown Pleasures | unknown
squad | None of the Above | None
exact | The answer was not given to the press. | The answer is not given.
contains | I can't help you without your order number. | I can't answer.
squad | It can't be answered by yes or no. | It can't be answered.
exact | Don't Know Much | I don't know.
squad | They can't be found on land. | It can't be found.
exact | No answer came from the tower. | No answer.
contains | The question was not answered. | It can't be answered.
squad | The unknown man | unknown
exact | Not Available | n/a
contains | It is not stated on the label. | It is not stated.
squad | He does not know the way. | I do not know.
exact | nothing | No answer
exact | none | The passage does not say.
contains | unknown | The passage does not say.
squad | I don't have any brothers. | I don't know.
exact | Nobody knows. | Unknown.
squad | It's not mentioned in the will. | Not mentioned.
exact | We do not give refunds. | The text does not give that.
contains | The passage is closed in winter. | The passage does not say.
"""

# formulas that differ, or that offer a choice
MATH_DOUBT = r"""
4\sqrt{7} | 6\sqrt{7}
4\sqrt{7} | 2
4\sqrt{7} | 7
4\sqrt{7} | $4\sqrt{7}$ or $7\sqrt{4}$
4\sqrt{7} | \boxed{4\sqrt{7}} \boxed{4}
4\sqrt{7} | not $4\sqrt{7}$
4\sqrt{7} | maybe $4\sqrt{7}$
(3, 5) | (5, 3)
(3, 5) | (4, 5)
(3, 5) | [3, 5]
(3, 5) | [3, 5)
(3, 5) | \{3, 5\}
(3, 5) | 3, 5
(3, 5) | 3
(3, 5) | 5
[1, 4) | (1, 4)
[1, 4) | [1, 4]
\{1, 2\} | \{1, 2, 3\}
\{1, 2\} | 1
\{1, 2\} | (1, 2)
x = 5 | y = 5
x = 5 | x = 5 or x = 6
x = 5 | x > 5
x > 8 | x < 8
x > 3 | x \geq 3
x > 3 | 7
64 cm^2 | 49 cm^2
42 cm^2 | 42 m^2
42 cm^2 | 42 cm^3
42 \text{ kg} | 42 \text{ g}
5\pi | \pi
5\pi | 15.7
\pm 3 | 3
\pm 3 | -3
7 or 9 | 9
7 or 9 | 7
12:30 | 12
4:3 | 3:4
4i + 3 | 6i + 3
A = 4, B = 9 | A = 3, B = 9
A = 4, B = 9 | 4
\frac{1}{3} or \frac{2}{3} | \frac{2}{3}
42 | 6 \times 7
42 | 40 + 2
42 | 6 * 7
5 | \boxed{5} is wrong
x^2 | x2
2^{9^{9^9}} | 5
5 | 9^{9^{9^{9}}}
\infty | 0
\text{Friday} | \text{Monday}
\text{no solution} | 0
1000! | 1
[0,1] \cup [2,3] | [0,3]
8,\!410 | 410
\frac{\sqrt{7}}{4} | 4
42 | 42 or 36
(2, 7) | (4, 7)
x + 7 | y + 7
7! | 7
0 | \frac{0}{0}
\frac{1}{0} | \frac{2}{0}
2\sqrt{3} | 2\sqrt{2}
(3, 5) | (5,3)
(3, 5) | [3,5]
x^2+1 | x^2-1
5 | \boxed{5} or \boxed{6}
12\pi | 12
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \begin{pmatrix} 2 \\ 1 \end{pmatrix}
(-\infty, 3] | (-\infty, 3)
10\% | 10
\text{even} | odd
\text{even} | uneven
"""

# formulas of the same value
MATH_RIGHT = r"""
4\sqrt{7} | \boxed{4\sqrt{7}}
4\sqrt{7} | \sqrt{112}
4\sqrt{7} | The answer is $4\sqrt{7}$.
\frac{\sqrt{7}}{4} | $\frac{1}{4}\sqrt{7}$
(3, 5) | (3,5)
(3, 5) | $(3, 5)$
(3, 5) | \boxed{(3, 5)}
[1, 4) | [1,4)
[1, 4) | x \in [1, 4)
(-\infty, 2) | \left(-\infty, 2\right)
\{1, 2\} | \{2, 1\}
x = 5 | x=5
x = 5 | 5
5 | x = 5
5 | \boxed{x = 5}
x > 3 | x>3
3x + 2 | 2 + 3x
(x+1)^2 | x^2 + 2x + 1
\frac{x}{2} | 0.5x
y = 2x + 1 | y = 1 + 2x
42 \text{ cm}^2 | 42 cm^2
42 \text{ cm}^2 | \boxed{42}
42 \text{ cm}^2 | \boxed{42 \text{ cm}^2}
90^\circ | 90^{\circ}
90^\circ | 90°
5\pi | 5 \pi
5\pi | The area is $5\pi$.
\frac{3}{4} | 0.75
\frac{3}{4} | \frac{6}{8}
\sqrt{16} | 4
2 + 3i | 3i + 2
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \boxed{\begin{pmatrix}1\\2\end{pmatrix}}
\pm 3 | \pm 3
\text{Friday} | \text{Friday}
\log_2 8 | 3
12 | \boxed{12}
12 | **12**
x^{10} | \boxed{x^{10}}
[0,1] \cup [2,3] | [0,1]\cup[2,3]
e^{2} | e^2
\frac{1}{2} | 0.5
2\sqrt{3} | \sqrt{12}
\{1,2\} | \{2,1\}
x^2+1 | 1+x^2
5 | The answer is \boxed{5}.
12\pi | 12\pi
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \begin{pmatrix} 1 \\ 2 \end{pmatrix}
(-\infty, 3] | (-\infty,3]
\text{even} | even
\text{isosceles} | \boxed{\text{isosceles}}
"""

# plain refusals
REFUSALS = r"""
Nie wiem.
Brak informacji.
Tekst nie mówi, kto zapłacił.
Nie można tego ustalić na podstawie tekstu.
Bilmiyorum.
Metinde bu bilgi yok.
Metinde belirtilmemiş.
Bu soru cevaplanamaz.
لا أعرف.
النص لا يذكر ذلك.
غير مذكور في النص.
لا توجد معلومات كافية.
The person who paid for the mill is unknown.
The year in which it was built is not specified.
The text doesn't mention that.
There's no mention of this in the passage.
The passage doesn't specify when it happened.
I can't find this information in the text.
It isn't stated.
This is not discussed in the article.
No mention of it.
The context doesn't provide an answer.
Not enough context to answer.
I don't have enough information to answer the question.
I don't have that information.
The passage gives no date.
Based on the given text, there is no way to know.
There is no way to tell from the passage.
The text offers no clue about who paid.
Cannot be determined from the passage.
Can't say.
The answer is not in the passage.
The information is not available.
The answer is unknown.
Unspecified.
N/A
n/a.
Not in the text
not in the passage.
Nowhere in the passage is this mentioned.
None of the passages says who paid.
The passage omits this detail.
The passage doesn't go into that.
The article never mentions it.
This question is not answerable from the passage.
I'm not able to answer this based on the passage.
I am afraid the passage doesn't say.
Sorry, I don't know.
That's not something the passage tells us.
The passage neither states nor implies it.
No relevant information found.
Insufficient information
No data
There isn't enough information in the passage to answer.
The passage provides insufficient detail.
We aren't told.
We are not told who built it.
Information not provided.
Answer not found.
not applicable
Not known.
The passage has nothing to say about this.
It's not clear from the passage.
The text is unclear about who paid.
I have no idea.
No clue.
The question cannot be answered with the information given.
Not given
Not mentioned in the text.
There is no answer in the text.
The text says nothing on this.
The text does not tell us.
I could not find an answer.
I do not see it in the passage.
The passage contains no information about it.
The passage makes no mention of that.
It does not say.
The story doesn't tell.
Nothing is said about it in the text.
no info
Insufficient data to answer.
The passage does not discuss this topic.
This detail is missing from the passage.
The text lacks this information.
The question is not answered in the passage.
The given passage does not answer the question.
Unfortunately, this is not specified.
Das steht nicht im Text.
Der Text sagt dazu nichts.
Die Frage kann anhand des Textes nicht beantwortet werden.
Ich weiß es nicht.
Keine Angabe.
Der Abschnitt enthält keine Informationen darüber.
Das wird im Text nicht erwähnt.
Le passage ne le dit pas.
Le texte ne mentionne pas cela.
Je ne sais pas.
La question ne peut pas être répondue à partir du texte.
Aucune information n'est donnée dans le texte.
El texto no lo menciona.
No lo sé.
No se menciona en el texto.
La pregunta no se puede responder con el texto.
El pasaje no dice quién lo construyó.
Il testo non lo dice.
Non lo so.
Non è possibile rispondere alla domanda.
O texto não menciona isso.
Não sei.
Não há informações sobre isso no texto.
The passage doesn't include that detail.
The answer isn't given.
No answer can be found.
The text provided does not contain the answer.
I am not sure.
It's unclear.
There is insufficient information to answer the question.
I don't see that in the passage.
The passage doesn't talk about that.
The requested information isn't in the passage.
Sorry, but the passage doesn't answer this question.
The provided context does not specify.
None given
It is impossible to tell from the passage.
It is not possible to determine this from the text.
We cannot know.
This is not in the text.
I was unable to find that.
The passage mentions neither.
The author doesn't say.
We don't know from the passage.
The passage never explains why.
I'm afraid I can't answer that from the text.
The document is silent on that point.
The passage does not state that.
It isn't mentioned.
There is no mention of it in the text.
The author does not tell us.
No answer.
n/a
Le texte ne le dit pas.
I cannot determine this from the given passage.
That information isn't provided.
Sorry, the passage does not contain that.
It is impossible to tell from the text.
The passage leaves this open.
Non précisé.
Non mentionné dans le texte.
Dat staat niet in de tekst.
De tekst zegt niet wie de molen bouwde.
Ik weet het niet.
Geen informatie.
Niet vermeld.
Onbekend.
Det står inte i texten.
Jag vet inte.
Okänt.
Не знаю.
В тексте об этом не говорится.
В отрывке не указано, кто построил мельницу.
Неизвестно.
文中没有提到。
不知道。
无法确定。
わかりません。
本文には書かれていません。
알 수 없습니다.
Der Text sagt nicht, wer die Mühle gebaut hat.
De tekst zegt niet, wie de molen bouwde.
It's unknown.
It is undisclosed.
"""

# answers with the words of refusals
NO_REFUSALS = r"""
Nie Jan, lecz Piotr
Bu bir elma değil
ليس في باريس
the soldier is unknown
The king does not say.
The contract does not mention a date.
The constitution does not specify a religion.
The report did not name the thief.
The report does not name the thief.
They do not know the way.
He could not find the answer.
No information office
Nobody knows
No one knows the trouble I've seen
"I Don't Know"
I Don't Know How to Love Him
Don't Know Why
The unknown soldier
Unknown Pleasures
None of the Above
none of them
not proven
not available in stores
We can't tell you who won before Friday.
I can't find your parcel.
It can't be found in Europe.
It is not known for its beauty.
It does not have a door.
It was not given to him.
Section 7 does not apply to them.
no answer key
The police don't know who did it.
Scientists do not know what causes it.
There is no sugar in it.
There was no evidence of a crime
The law does not say how to vote.
No mention in dispatches
The Missing Information Act
Without a Trace
the no-answer policy
insufficient funds
insufficient oxygen
She did not answer the question.
The letter did not mention her.
The witness said that he did not know.
I don't know you (film)
We do not answer letters.
The Bible does not mention cats.
The agreement does not cover theft.
The article did not name the author.
Rule 3 is not specified for juniors.
The manual does not describe it.
"Not Available"
They could not determine the cause.
The search found nothing.
The will does not name an heir
The law does not define it
He does not say
She didn't mention the price.
The witness could not identify him
The letter does not say.
There is no mention of her in the Bible
The text of the treaty does not mention slavery
The question was not answered by the senator.
The information was not given to the police
This is not covered by the warranty
It is not included in the price
We have no information desk.
No data plan
The Constitution does not say who counts the votes
Don't Ask, Don't Tell
The Man Who Knew Nothing
unknown to science
None but the brave
No answer from the tower
The page does not load.
It is not open on Sundays.
No information was leaked
The passage doesn't state it was 1850.
The king could not be found.
He did not answer.
The report does not recommend a merger.
No answer was given by the minister.
None of the soldiers survived.
He left the door open.
Zij wist het niet.
De koning gaf geen antwoord aan de bode.
Иван не знал.
这家店没有名字
彼は来ません
Non coupable
It is silent.
They are missing.
"""

# a refusal and an answer at once
BOTH = r"""
Nie wiem, chyba Rzym.
Bilmiyorum, galiba Roma.
لا أعرف، ربما روما
The passage doesn't say. London.
I don't know, London maybe.
It's not mentioned, but London is likely.
The text doesn't specify the year (1850).
The passage does not give a name: Ada Thorne.
Not stated; most people say 1850.
Unknown. Possibly 1850.
I can't be sure, it was Ada Thorne.
No information. The answer is Ada Thorne.
The text does not say so, yet it was built in 1850.
It is not stated who built it - Ada Thorne did.
The passage doesn't say; outside sources give 1850.
Ada Thorne. I don't know more.
1850, the passage does not say more
There is no information about it in the passage. From general knowledge, it is 1850.
The passage does not say. (It was Ada Thorne.)
The passage doesn't mention the year, which was 1850.
The passage doesn't mention the builder, Ada Thorne.
Not in the text\n1850
I don't know\n\nFinal answer: Ada Thorne
The text gives no name, though history tells us it was Thorne.
It isn't said. He was born in Rome.
The text does not say who built it but Thorne did.
I cannot answer. Still, 1850 fits.
No answer. Rome
Unanswerable; Rome
The passage is silent, while other books name Thorne.
Das steht nicht im Text. Es war Ada Thorne.
Le texte ne le dit pas, mais c'est Paris.
The passage doesn't mention it, but it was in 1850.
Not mentioned; probably Rome.
I don't know. It's Rome.
The passage does not say who. Rome built it.
Dat staat niet in de tekst. Het was Osric Vane.
В тексте не говорится. Это был Осрик Вейн.
文中没有提到。1790年。
わかりません。1790年です。
Der Text sagt nicht, wer sie baute. Osric Vane baute sie.
"""


def rows(text: str) -> list[list[str]]:
    "The cells of each line."
    return [[cell.strip().replace(r"\n", "\n") for cell in line.split(" | ")] for line in text.strip().split("\n")]
